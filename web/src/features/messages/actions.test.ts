import type { Channel, Role } from '@chowk/client';
import { describe, expect, test, vi } from 'vitest';
import { actions, actionsFor, type ActionContext } from './actions.ts';
import type { MessageCommands } from './commands.ts';
import { unsent, type Item } from './timeline.ts';

const ada = { id: 'ada', name: 'Ada' };
const message = (delivery: Item['delivery'] = 'sent'): Item => ({ ...unsent('m', 'c', ada, 'hi', null), delivery });
const channel = (role: Role) => ({ id: 'c', my_membership: { role } }) as Channel;

function context(me: string, role: Role = 'member') {
  const commands = { toggleReaction: vi.fn(), togglePin: vi.fn(), delete: vi.fn() };
  const c: ActionContext = {
    me,
    channel: channel(role),
    commands: commands as unknown as MessageCommands,
    reply: vi.fn(),
    edit: vi.fn(),
  };
  return { c, commands };
}

const idsFor = (me: string, role?: Role) => actionsFor(message(), context(me, role).c).map((a) => a.id);

test('ids and keys are unique', () => {
  expect(new Set(actions.map((a) => a.id)).size).toBe(actions.length);
  expect(new Set(actions.map((a) => a.key)).size).toBe(actions.length);
});

describe('who may', () => {
  test('authors edit and delete', () => expect(idsFor('ada')).toEqual(['react', 'reply', 'edit', 'delete']));
  test('members react and reply', () => expect(idsFor('bob')).toEqual(['react', 'reply']));
  test.each<Role>(['owner', 'admin'])('%ss pin and delete messages of others', (role) => {
    expect(idsFor('bob', role)).toEqual(['react', 'reply', 'pin', 'delete']);
  });
  test('owners unpin a pinned message', () => {
    const pinned = actionsFor({ ...message(), is_pinned: true }, context('bob', 'owner').c);
    expect(pinned.map((a) => a.id)).toEqual(['react', 'reply', 'unpin', 'delete']);
  });
  test.each<Item['delivery']>(['pending', 'failed'])('no one does anything with a %s message', (delivery) => {
    expect(actionsFor(message(delivery), context('ada').c)).toEqual([]);
  });
});

test('each action runs its command', () => {
  const { c, commands } = context('ada');
  const m = message();
  for (const a of actions) a.run(m, c, '🎉');
  expect(commands.toggleReaction).toHaveBeenCalledWith(m, '🎉');
  expect(commands.delete).toHaveBeenCalledWith(m);
  expect(commands.togglePin.mock.calls).toEqual([[m], [m]]);
  expect(c.reply).toHaveBeenCalledWith(m);
  expect(c.edit).toHaveBeenCalledWith(m);
});
