import type { Channel } from '@chowk/client';
import type { IconName } from '../../ui/icons.ts';
import { manages } from '../channels/list.ts';
import type { MessageCommands } from './commands.ts';
import type { Item } from './timeline.ts';

/** What an action may use besides its message. */
export interface ActionContext {
  me: string;
  channel: Channel;
  commands: MessageCommands;
  /** Starts a reply in the composer. */
  reply(m: Item): void;
  /** Opens the editor of a message. */
  edit(m: Item): void;
}

/** Something a user can do with a message. */
export interface MessageAction {
  id: string;
  label: string;
  icon: IconName;
  /** The key that runs it while the message has the focus, as KeyboardEvent.key. */
  key: string;
  /** What the user must answer first: pick an emoji, or confirm. */
  ask?: { kind: 'emoji' } | { kind: 'confirm'; question: string };
  allowed(m: Item, c: ActionContext): boolean;
  /** Runs the action. emoji is the one that was picked. */
  run(m: Item, c: ActionContext, emoji: string): unknown;
}

const isAuthor = (m: Item, c: ActionContext): boolean => m.user_id === c.me;

/** Everything a user can do with a message. Its toolbar and its keys are drawn from this table. */
export const actions: readonly MessageAction[] = [
  {
    id: 'react',
    label: 'Add reaction',
    icon: 'react',
    key: '+',
    ask: { kind: 'emoji' },
    allowed: () => true,
    run: (m, c, emoji) => c.commands.toggleReaction(m, emoji),
  },
  {
    id: 'reply',
    label: 'Reply',
    icon: 'reply',
    key: 'r',
    allowed: () => true,
    run: (m, c) => c.reply(m),
  },
  {
    id: 'edit',
    label: 'Edit',
    icon: 'edit',
    key: 'e',
    allowed: isAuthor,
    run: (m, c) => c.edit(m),
  },
  {
    id: 'pin',
    label: 'Pin',
    icon: 'pin',
    key: 'p',
    allowed: (m, c) => manages(c.channel) && !m.is_pinned,
    run: (m, c) => c.commands.togglePin(m),
  },
  {
    id: 'unpin',
    label: 'Unpin',
    icon: 'pin',
    key: 'u',
    allowed: (m, c) => manages(c.channel) && !!m.is_pinned,
    run: (m, c) => c.commands.togglePin(m),
  },
  {
    id: 'delete',
    label: 'Delete',
    icon: 'delete',
    key: 'Delete',
    ask: { kind: 'confirm', question: 'Delete this message?' },
    allowed: (m, c) => isAuthor(m, c) || manages(c.channel),
    run: (m, c) => c.commands.delete(m),
  },
];

/** Returns the actions that the user may run on a message. There are none on a message that has not been sent. */
export function actionsFor(m: Item, c: ActionContext): MessageAction[] {
  return m.delivery === 'sent' ? actions.filter((a) => a.allowed(m, c)) : [];
}
