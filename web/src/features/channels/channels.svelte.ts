import type { Channel, Rest, ServerEvent } from '@chowk/client';
import { createContext } from 'svelte';
import { toasts } from '../../lib/toasts.svelte.ts';
import type { People } from '../people/people.svelte.ts';
import { applyToList, patch, sorted, upsert } from './list.ts';

/** The user's channels, the one with the latest activity first. */
export class Channels {
  list = $state.raw<Channel[]>([]);
  /** Whether the list has been loaded. */
  loaded = $state(false);
  private readonly byId = $derived(new Map(this.list.map((c) => [c.id, c])));
  private fetches = 0;
  /** Events that arrived during a fetch, whose response may be older. */
  private meanwhile: ServerEvent[] = [];

  constructor(
    private readonly rest: Rest,
    private readonly people: People,
  ) {}

  get(id: string): Channel | undefined {
    return this.byId.get(id);
  }

  /** Returns the name to show: for a direct channel, the other user's. */
  title(c: Channel): string {
    return c.direct_peer ? this.people.name(c.direct_peer.id) : c.name;
  }

  /** Returns the title with a # in front of a channel's name. */
  label(c: Channel): string {
    return c.channel_type === 'direct' ? this.title(c) : `#${c.name}`;
  }

  /** Returns the other users of all direct channels. */
  peers(): string[] {
    return this.list.flatMap((c) => c.direct_peer?.id ?? []);
  }

  async load(): Promise<void> {
    try {
      await this.fetch(this.rest.channels, (all) => {
        this.people.learn(all.map((c) => c.direct_peer));
        this.list = sorted(all);
      });
      this.loaded = true;
    } catch (e) {
      toasts.error(e);
    }
  }

  /** Loads one channel, and adds it to the list if the user is a member. */
  async refresh(id: string): Promise<void> {
    try {
      await this.fetch(
        () => this.rest.channel(id),
        (c) => c.my_membership && this.add(c),
      );
    } catch (e) {
      toasts.error(e);
    }
  }

  private add(c: Channel): void {
    this.people.learn([c.direct_peer]);
    this.list = upsert(this.list, c);
  }

  private async fetch<T>(load: () => Promise<T>, store: (response: T) => void): Promise<void> {
    this.fetches++;
    try {
      store(await load());
      for (const e of this.meanwhile) this.list = applyToList(this.list, e, this.people.me.id);
    } finally {
      if (--this.fetches === 0) this.meanwhile = [];
    }
  }

  update(id: string, f: (c: Channel) => Channel): void {
    this.list = patch(this.list, id, f);
  }

  apply(e: ServerEvent): void {
    if (this.fetches) this.meanwhile.push(e);
    this.list = applyToList(this.list, e, this.people.me.id);
    if (e.type === 'channel_joined') void this.refresh(e.channel_id);
    // A channel that is restored from the archive is not in the list.
    if (e.type === 'channel_updated' && !e.channel?.is_archived && !this.get(e.channel_id)) {
      void this.refresh(e.channel_id);
    }
  }

  async create(body: Parameters<Rest['createChannel']>[0]): Promise<Channel> {
    const c = await this.rest.createChannel(body);
    this.add(c);
    return c;
  }

  /** Returns the direct channel with a user, and creates it if there is none. */
  async openDirect(user: string): Promise<Channel> {
    const c = await this.rest.directChannel(user);
    this.add(c);
    return c;
  }

  /** Joins a public channel. */
  async join(id: string): Promise<void> {
    await this.rest.addMembers(id, [this.people.me.id]);
    await this.refresh(id);
  }

  leave = (id: string): Promise<void> => this.rest.removeMember(id, this.people.me.id);
  addMember = (id: string, user: string): Promise<void> => this.rest.addMembers(id, [user]);
  rename = (id: string, change: { name: string; topic: string }): Promise<Channel> =>
    this.rest.updateChannel(id, change);

  /** Finds public channels by name or topic. */
  browse = (query: string): Promise<Channel[]> => this.rest.browse(query);

  /** Returns a public channel of which the user is not a member, or undefined if there is none with this id. */
  async preview(id: string): Promise<Channel | undefined> {
    const c = await this.rest.channel(id).catch(() => undefined);
    return c && !c.my_membership && !c.is_private ? c : undefined;
  }
}

export const [useChannels, provideChannels] = createContext<Channels>();
