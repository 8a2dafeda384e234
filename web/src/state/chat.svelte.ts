import { ChowkClient, Rest, type Channel, type ConnectionState, type LogEvent, type Member, type ServerEvent, type UserRef } from '@chowk/client';
import { applyToChannels, applyToMembers, otherOf, sorted, upsert, type Channels } from './channels.ts';
import { Histories } from './histories.svelte.ts';
import { People } from './people.svelte.ts';
import { Receipts } from './receipts.ts';
import { toasts } from './toasts.svelte.ts';
import { Typing } from './typing.svelte.ts';

/** How long a connection may be away before anybody is told. */
const quietMs = 1_200;

/** All that one user's page knows, kept up to date by the socket's events. */
export class Chat {
  readonly people: People;
  readonly typing: Typing;
  readonly histories: Histories;
  private readonly receipts: Receipts;

  channels = $state.raw<Channels>([]);
  listed = $state(false);
  connection = $state<ConnectionState>('connecting');
  /** Whether the user is to be told that there is no connection. */
  away = $state(false);
  selectedId = $state<string>();
  members = $state.raw<Member[]>([]);
  /** The channel whose newest message the user sees at this moment. */
  viewing = $state<string>();
  /** What was said last by others in the open channel, for screen readers. */
  heard = $state('');

  selected = $derived(this.channels.find((c) => c.id === this.selectedId));
  unread = $derived(this.channels.reduce((n, c) => n + (c.id === this.viewing ? 0 : c.unread_count), 0));

  private awayTimer: ReturnType<typeof setTimeout> | undefined;
  private fetches = 0;
  private meanwhile: ServerEvent[] = [];

  constructor(
    readonly me: UserRef,
    readonly rest: Rest,
    readonly client: ChowkClient,
    private readonly signedOut: () => void,
  ) {
    this.people = new People(rest, client);
    this.people.learn([me]);
    this.typing = new Typing(client);
    this.histories = new Histories(rest, client, me);
    this.receipts = new Receipts(client, (id, change) => (this.channels = this.channels.map((c) => (c.id === id ? change(c) : c))));
    client.on('dialling', ({ url }) => console.log(`Connecting to WebSocket: ${url}`));
    client.on('state', (state) => this.entered(state));
    client.on('connection', () => void this.connected());
    client.on('event', (e) => this.event(e));
    client.on('resync', ({ channel_id }) => void this.histories.reload(channel_id));
    client.on('refused', ({ attempt }) => attempt % 3 === 2 && void this.checkSession());
    client.on('unauthorized', ({ code }) => {
      toasts.say(code === 4003 ? 'This account is disabled. Ask whoever runs the server.' : 'You are logged out. Log in again.', 'error');
      this.signedOut();
    });
  }

  start(): void {
    this.client.connect();
  }

  stop(): void {
    this.typing.stop();
    clearTimeout(this.awayTimer);
    this.client.close();
  }

  /** What a channel is called: for a direct one, by the other's name. */
  title(c: Channel): string {
    const other = otherOf(c, this.me.id);
    return other ? this.people.name(other) : c.name;
  }

  private entered(state: ConnectionState): void {
    this.connection = state;
    if (state === 'connected') {
      clearTimeout(this.awayTimer);
      this.awayTimer = undefined;
      this.away = false;
    } else if (state !== 'stopped') {
      this.awayTimer ??= setTimeout(() => (this.away = true), quietMs);
    }
  }

  private async connected(): Promise<void> {
    console.log('WebSocket connected');
    if (this.selectedId) this.join(this.selectedId);
    this.people.rewatch();
    await this.list();
    if (this.selectedId) await this.load(this.selectedId);
  }

  /** One after the other: when a server restarts, everybody asks at once. */
  private async load(id: string): Promise<void> {
    await this.histories.load(id);
    if (this.selectedId === id && this.connection === 'connected') await this.loadMembers(id);
  }

  /** The browser does not say why a socket was refused; the API does. */
  private async checkSession(): Promise<void> {
    try {
      await this.rest.channels();
    } catch (e) {
      if ((e as { code?: string }).code === 'unauthorized') this.signedOut();
    }
  }

  private async list(): Promise<void> {
    try {
      await this.fetch(this.rest.channels, (all) => (this.channels = sorted(all)));
      this.listed = true;
      this.people.want(this.channels.map((c) => otherOf(c, this.me.id)));
      this.watchPeople();
      if (this.selectedId && !this.selected) await this.unknown(this.selectedId);
    } catch (e) {
      toasts.error(e);
    }
  }

  /** Takes an answer that may be older than the events which arrive while it is under way. */
  private async fetch<T>(ask: () => Promise<T>, take: (answer: T) => void): Promise<void> {
    this.fetches++;
    try {
      take(await ask());
      for (const e of this.meanwhile) this.channels = applyToChannels(this.channels, e, this.me.id);
    } finally {
      if (--this.fetches === 0) this.meanwhile = [];
    }
  }

  /** A link may name a channel that is public, or not for this user. */
  private async unknown(id: string): Promise<void> {
    toasts.say('You are not a member of this channel, or it does not exist.', 'error');
    if (this.selectedId === id) location.hash = '';
  }

  private event(e: ServerEvent): void {
    if (e.type === 'presence') return this.people.came(e.user_id, e.is_online);
    if (e.type === 'typing') return this.typing.heard(e.channel_id, e.user_id, e.is_typing);
    if (this.fetches) this.meanwhile.push(e);
    this.channels = applyToChannels(this.channels, e, this.me.id);
    if (e.channel_id === this.selectedId) this.inSelected(e);
    if (e.type === 'read_receipt') {
      if (e.user_id === this.me.id) this.readElsewhere(e.channel_id);
      return;
    }
    this.histories.event(e);
    this.aboutList(e);
  }

  /** How much is unread after another tab read some of it, only the server can count. */
  private readElsewhere(id: string): void {
    if (this.viewing !== id && this.channels.some((c) => c.id === id && c.unread_count > 0)) void this.know(id);
  }

  private inSelected(e: ServerEvent): void {
    this.members = applyToMembers(this.members, e);
    if (e.type === 'message' && e.data.user_id !== this.me.id) {
      this.heard = `${e.data.user?.name ?? this.people.name(e.data.user_id)}: ${e.data.content.slice(0, 300)}`;
    }
    if (e.type === 'member_joined') {
      this.people.want([e.user_id]);
      this.watchPeople();
    }
  }

  private aboutList(e: LogEvent): void {
    switch (e.type) {
      case 'message':
        this.people.learn([e.data.user]);
        this.typing.heard(e.channel_id, e.data.user_id, false);
        break;
      case 'channel_joined':
        void this.know(e.channel_id);
        break;
      case 'channel_left':
        this.histories.forget(e.channel_id);
        if (this.selectedId === e.channel_id) location.hash = '';
        break;
      case 'channel_updated':
        // An archived channel that comes back is not in the list.
        if (!e.channel?.is_archived && !this.channels.some((c) => c.id === e.channel_id)) void this.know(e.channel_id);
    }
  }

  /** Loads a channel into the list. */
  async know(id: string): Promise<void> {
    try {
      await this.fetch(
        () => this.rest.channel(id),
        (c) => {
          if (!c.my_membership) return;
          this.channels = upsert(this.channels, c);
          this.people.want([otherOf(c, this.me.id)]);
        },
      );
      this.watchPeople();
    } catch (e) {
      toasts.error(e);
    }
  }

  /** Opens a channel, or none. */
  select(id: string | undefined): void {
    if (id === this.selectedId) return;
    this.typing.stop();
    this.selectedId = id;
    this.members = [];
    this.viewing = undefined;
    this.heard = '';
    if (!id) return;
    if (this.listed && !this.selected) return void this.unknown(id);
    if (this.connection === 'connected') this.join(id);
    void this.load(id);
  }

  private join(id: string): void {
    this.client
      .request('join_channel', { channel_id: id })
      .then(() => console.log(`Joined channel via WebSocket: ${id}`))
      .catch(() => {}); // without a connection it is joined with the next; otherwise history says why not
  }

  private async loadMembers(id: string): Promise<void> {
    try {
      const members = await this.rest.members(id);
      this.people.learn(members.map((m) => m.user));
      if (this.selectedId !== id) return;
      this.members = members;
      this.watchPeople();
    } catch {
      // The page works without; a new connection loads them again.
    }
  }

  private watchPeople(): void {
    const direct = this.channels.flatMap((c) => otherOf(c, this.me.id) ?? []);
    this.people.watch([...this.members.map((m) => m.user_id), ...direct].filter((id) => id !== this.me.id));
  }

  /** The user sees the newest message of a channel. */
  see(id: string): void {
    const c = this.channels.find((x) => x.id === id);
    if (c) this.receipts.read(c, this.histories.newest(id));
  }
}
