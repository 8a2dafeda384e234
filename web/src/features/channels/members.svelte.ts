import type { Member, Rest, ServerEvent } from '@chowk/client';
import { createContext } from 'svelte';
import type { People } from '../people/people.svelte.ts';
import { applyToMembers } from './members.ts';

/** The members of the channels that were opened. */
export class Members {
  private all = $state.raw<Readonly<Record<string, Member[]>>>({});

  constructor(
    private readonly rest: Rest,
    private readonly people: People,
  ) {}

  of(channel: string): Member[] {
    return this.all[channel] ?? [];
  }

  async load(channel: string): Promise<void> {
    try {
      const members = await this.rest.members(channel);
      this.people.learn(members.map((m) => m.user));
      this.set(channel, members);
    } catch {
      // The page works without them, and loads them again with the next connection.
    }
  }

  private set(channel: string, members: Member[]): void {
    this.all = { ...this.all, [channel]: members };
  }

  apply(e: ServerEvent): void {
    if (!('channel_id' in e) || !this.all[e.channel_id]) return;
    const before = this.of(e.channel_id);
    const members = applyToMembers(before, e);
    if (members !== before) this.set(e.channel_id, members);
    if (e.type === 'member_joined') this.people.want([e.user_id]);
  }
}

export const [useMembers, provideMembers] = createContext<Members>();
