import type { ChowkClient, Rest, ServerEvent, UserRef } from '@chowk/client';
import { createContext } from 'svelte';

const batchMs = 50;
/** Maximum number of users in one request. */
const maxUsers = 500;

/** Names and presence of users. */
export class People {
  private known = $state.raw<ReadonlyMap<string, UserRef>>(new Map());
  private online = $state.raw<ReadonlySet<string>>(new Set());
  private readonly requested = new Set<string>();
  private readonly wanted = new Set<string>();
  private watched: string[] = [];
  private lookupTimer: ReturnType<typeof setTimeout> | undefined;
  private watchTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    /** The user of this page. */
    readonly me: UserRef,
    private readonly rest: Rest,
    private readonly client: ChowkClient,
  ) {
    this.learn([me]);
  }

  isMe(id: string): boolean {
    return id === this.me.id;
  }

  /** Returns a user's name, or the id while the name is unknown. */
  name(id: string): string {
    return this.known.get(id)?.name || id;
  }

  /** Reports whether another user is online. False while this page is offline itself. */
  isOnline(id: string): boolean {
    return this.online.has(id);
  }

  /** Stores names that came with other data. */
  learn(users: (UserRef | null | undefined)[]): void {
    const fresh = users.filter((u): u is UserRef => !!u && this.known.get(u.id)?.name !== u.name);
    if (fresh.length) this.known = new Map([...this.known, ...fresh.map((u) => [u.id, u] as const)]);
  }

  /** Looks up the names of these users, once. Several calls share a request. */
  want(ids: string[]): void {
    for (const id of ids) if (!this.known.has(id) && !this.requested.has(id)) this.wanted.add(id);
    if (!this.wanted.size || this.lookupTimer) return;
    this.lookupTimer = setTimeout(() => void this.lookUp(), batchMs);
  }

  private async lookUp(): Promise<void> {
    this.lookupTimer = undefined;
    const ids = [...this.wanted].slice(0, maxUsers);
    for (const id of ids) {
      this.wanted.delete(id);
      this.requested.add(id);
    }
    try {
      this.learn(await this.rest.users(ids));
    } catch {
      for (const id of ids) this.requested.delete(id); // the id is shown until the next attempt
    }
  }

  /** Finds users by name or email. */
  find = async (query: string): Promise<UserRef[]> => {
    const users = await this.rest.findUsers(query);
    this.learn(users);
    return users;
  };

  /** Follows the presence of these users instead of the previous ones. */
  watch(ids: string[]): void {
    const next = [...new Set(ids)].filter((id) => !this.isMe(id)).slice(0, maxUsers);
    if (next.length === this.watched.length && next.every((id, i) => id === this.watched[i])) return;
    this.watched = next;
    this.rewatch();
  }

  /** Follows the same users on a new connection. */
  rewatch(): void {
    clearTimeout(this.watchTimer);
    this.watchTimer = setTimeout(() => void this.subscribe(), batchMs);
  }

  /** Forgets who is online, while the page is offline. */
  forgetPresence(): void {
    this.online = new Set();
  }

  private async subscribe(): Promise<void> {
    if (!this.watched.length) return;
    try {
      const { online } = await this.client.request('subscribe_presence', { user_ids: this.watched });
      this.online = new Set(online);
    } catch {
      this.forgetPresence(); // unknown until the next connection
    }
  }

  apply(e: ServerEvent): void {
    if (e.type === 'message') this.learn([e.data.user]);
    if (e.type !== 'presence') return;
    const online = new Set(this.online);
    if (e.is_online) online.add(e.user_id);
    else online.delete(e.user_id);
    this.online = online;
  }
}

export const [usePeople, providePeople] = createContext<People>();
