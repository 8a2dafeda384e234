import { ChowkError, uuidv7, type ChowkClient, type LogEvent, type Message, type Rest, type UserRef } from '@chowk/client';
import { plain } from '../lib/markdown.ts';
import * as timeline from './timeline.ts';
import { emptyTimeline, type Item, type Timeline } from './timeline.ts';
import { messageOf, toasts } from './toasts.svelte.ts';

/** The messages of the channels that were opened, and what the user does to them. */
export class Histories {
  private all = $state.raw<Readonly<Record<string, Timeline>>>({});
  private parents = $state.raw<Readonly<Record<string, string>>>({});
  /** Channels whose history could not be loaded, and why. */
  failed = $state.raw<Readonly<Record<string, string>>>({});
  /** Events that arrive while a history is loaded: it may or may not have them. */
  private readonly meanwhile = new Map<string, LogEvent[]>();
  private older: string | undefined;

  constructor(
    private readonly rest: Rest,
    private readonly client: ChowkClient,
    private readonly me: UserRef,
  ) {}

  of(id: string): Timeline {
    return this.all[id] ?? emptyTimeline;
  }

  newest(id: string): number {
    return timeline.lastSeq(this.of(id));
  }

  private set(id: string, t: Timeline): void {
    this.all = { ...this.all, [id]: t };
  }

  private update(id: string, f: (t: Timeline) => Timeline): void {
    this.set(id, f(this.of(id)));
  }

  forget(id: string): void {
    const { [id]: _, ...rest } = this.all;
    this.all = rest;
  }

  event(e: LogEvent): void {
    this.meanwhile.get(e.channel_id)?.push(e);
    if (this.of(e.channel_id).loaded) this.update(e.channel_id, (t) => timeline.apply(t, e));
  }

  trim(id: string): void {
    if (this.of(id).items.length > timeline.keep) this.update(id, timeline.trim);
  }

  load = (id: string): Promise<void> => (this.of(id).loaded ? Promise.resolve() : this.fetch(id));

  /** Loads a channel again that was loaded. */
  reload = (id: string): Promise<void> => (this.of(id).loaded ? this.fetch(id) : Promise.resolve());

  private async fetch(id: string): Promise<void> {
    if (this.meanwhile.has(id)) return;
    const meanwhile: LogEvent[] = [];
    this.meanwhile.set(id, meanwhile);
    this.failed = { ...this.failed, [id]: '' };
    try {
      const page = await this.rest.messages(id, { limit: timeline.pageSize });
      this.update(id, (t) => meanwhile.reduce(timeline.apply, timeline.reload(t, page)));
    } catch (e) {
      this.failed = { ...this.failed, [id]: messageOf(e) };
    }
    this.meanwhile.delete(id);
  }

  async loadOlder(id: string): Promise<void> {
    const t = this.of(id);
    const first = t.items[0];
    if (!t.loaded || !t.hasOlder || !first || first.delivery !== 'sent' || this.older) return;
    this.older = id;
    try {
      const page = await this.rest.messages(id, { limit: timeline.pageSize, before_id: first.id });
      this.update(id, (now) => timeline.addPage(now, page));
    } catch (e) {
      toasts.error(e);
    }
    this.older = undefined;
  }

  send(id: string, content: string, parent: string | null): void {
    const m = timeline.draft(uuidv7(), id, this.me, content, parent);
    this.update(id, (t) => timeline.addDraft(t, m));
    void this.deliver(m);
  }

  retry(m: Item): void {
    const again: Item = { ...m, delivery: 'pending' };
    this.update(m.channel_id, (t) => timeline.addDraft(t, again));
    void this.deliver(again);
  }

  discard(m: Item): void {
    this.update(m.channel_id, (t) => timeline.remove(t, m.id));
  }

  private async deliver(m: Item): Promise<void> {
    const more = { client_id: m.id, ...(m.parent_message_id && { parent_message_id: m.parent_message_id }) };
    try {
      const r = await this.client.send(m.channel_id, m.content, more).done;
      this.update(m.channel_id, (t) => timeline.confirm(t, m.id, r.seq, r.created_at));
    } catch (e) {
      this.update(m.channel_id, (t) => timeline.fail(t, m.id, messageOf(e)));
    }
  }

  async edit(m: Item, content: string): Promise<boolean> {
    return this.ask(() => this.client.request('edit_message', { channel_id: m.channel_id, message_id: m.id, content }));
  }

  async delete(m: Item): Promise<boolean> {
    return this.ask(() => this.client.request('delete_message', { channel_id: m.channel_id, message_id: m.id }));
  }

  async react(m: Item, emoji: string): Promise<boolean> {
    const mine = m.reactions.some((r) => r.emoji === emoji && r.user_id === this.me.id);
    const data = { channel_id: m.channel_id, message_id: m.id, emoji };
    return this.ask(() => this.client.request(mine ? 'remove_reaction' : 'message_reaction', data));
  }

  private async ask(f: () => Promise<unknown>): Promise<boolean> {
    try {
      await f();
      return true;
    } catch (e) {
      toasts.error(e);
      return false;
    }
  }

  /** What a message replies to, in short. */
  excerpt(m: Item): string | undefined {
    const id = m.parent_message_id;
    if (!id) return undefined;
    const parent = this.of(m.channel_id).items.find((x) => x.id === id);
    return parent ? quote(parent) : this.parents[id];
  }

  /** Loads what a message replies to when it is further up than what is loaded. */
  async loadParent(m: Item): Promise<void> {
    const id = m.parent_message_id;
    if (!id || this.excerpt(m) !== undefined) return;
    this.parents = { ...this.parents, [id]: '…' };
    let text = 'a message that is no longer there';
    try {
      const p = await this.rest.message(m.channel_id, id);
      if (!p.is_deleted) text = quote(p);
    } catch (e) {
      if (!(e instanceof ChowkError) || e.code !== 'not_found') text = 'a message that could not be loaded';
    }
    this.parents = { ...this.parents, [id]: text };
  }
}

const quote = (m: Message): string => `${m.user?.name ?? m.user_id}: ${plain(m.content.slice(0, 300))}`;
