import type { ChowkClient, Rest, UserRef } from '@chowk/client';

const batchMs = 50;
const mostWatched = 500;

/** Who people are, and who of them is here. */
export class People {
  private known = $state.raw<ReadonlyMap<string, UserRef>>(new Map());
  private online = $state.raw<ReadonlySet<string>>(new Set());
  private asked = new Set<string>();
  private wanted = new Set<string>();
  private watched: string[] = [];
  private askTimer: ReturnType<typeof setTimeout> | undefined;
  private watchTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly rest: Rest,
    private readonly client: ChowkClient,
  ) {}

  /** What to call somebody; the id until the name is known. */
  name(id: string): string {
    return this.known.get(id)?.name || id;
  }

  isOnline(id: string): boolean {
    return this.online.has(id);
  }

  learn(users: (UserRef | undefined)[]): void {
    const fresh = users.filter((u) => u && this.known.get(u.id)?.name !== u.name) as UserRef[];
    if (fresh.length) this.known = new Map([...this.known, ...fresh.map((u) => [u.id, u] as const)]);
  }

  /** Has the names of these looked up, once. */
  want(ids: (string | undefined)[]): void {
    for (const id of ids) if (id && !this.known.has(id) && !this.asked.has(id)) this.wanted.add(id);
    if (!this.wanted.size || this.askTimer) return;
    this.askTimer = setTimeout(() => void this.ask(), batchMs);
  }

  private async ask(): Promise<void> {
    this.askTimer = undefined;
    const ids = [...this.wanted].slice(0, mostWatched);
    for (const id of ids) {
      this.wanted.delete(id);
      this.asked.add(id);
    }
    try {
      this.learn(await this.rest.users(ids));
    } catch {
      for (const id of ids) this.asked.delete(id); // an id is shown until it can be asked again
    }
  }

  /** Watches these people instead of those before. */
  watch(ids: string[]): void {
    this.watched = [...new Set(ids)].slice(0, mostWatched);
    this.rewatch();
  }

  /** Asks again, for a new connection. */
  rewatch(): void {
    clearTimeout(this.watchTimer);
    this.watchTimer = setTimeout(() => void this.subscribe(), batchMs);
  }

  private async subscribe(): Promise<void> {
    if (!this.watched.length) return;
    try {
      const { online } = await this.client.request('subscribe_presence', { user_ids: this.watched });
      this.online = new Set(online);
    } catch {
      this.online = new Set(); // nobody knows; a new connection asks again
    }
  }

  came(id: string, isOnline: boolean): void {
    const next = new Set(this.online);
    if (isOnline) next.add(id);
    else next.delete(id);
    this.online = next;
  }
}
