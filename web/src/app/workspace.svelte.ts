import type { Channel, ServerEvent } from '@chowk/client';
import type { Login } from '../features/account/session.svelte.ts';
import { Channels, provideChannels } from '../features/channels/channels.svelte.ts';
import { Members, provideMembers } from '../features/channels/members.svelte.ts';
import { MessageCommands, provideMessageCommands } from '../features/messages/commands.ts';
import { Drafts, provideDrafts } from '../features/messages/drafts.svelte.ts';
import { Pins, providePins } from '../features/messages/pins.svelte.ts';
import { provideQuotes, Quotes } from '../features/messages/quotes.svelte.ts';
import { provideReading, Reading } from '../features/messages/reading.svelte.ts';
import { provideTimelines, Timelines } from '../features/messages/timelines.svelte.ts';
import { provideTyping, Typing } from '../features/messages/typing.svelte.ts';
import { channelView } from '../features/messages/view.ts';
import { People, providePeople } from '../features/people/people.svelte.ts';
import { isUnauthorized } from '../lib/errors.ts';
import { router } from '../lib/router.svelte.ts';
import { toasts } from '../lib/toasts.svelte.ts';
import { Connection } from './connection.svelte.ts';

const closeUserDisabled = 4003;

/**
 * The stores of one logged-in user, and what connects them: which events they receive, and what is loaded when. It is
 * for the shell only; components use the stores of the features.
 */
export class Workspace {
  readonly connection: Connection;
  readonly people: People;
  readonly channels: Channels;
  readonly members: Members;
  readonly timelines: Timelines;
  readonly reading: Reading;
  readonly pins: Pins;
  readonly typing: Typing;
  /** A public channel that is open although the user is not a member. */
  preview = $state.raw<Channel>();
  private readonly stores: { apply(e: ServerEvent): void }[];

  constructor(
    private readonly login: Login,
    private readonly loggedOut: () => void,
  ) {
    const { me, rest, client } = login;
    this.connection = new Connection(client);
    this.people = new People(me, rest, client);
    this.channels = new Channels(rest, this.people);
    this.members = new Members(rest, this.people);
    this.timelines = new Timelines(rest);
    this.pins = new Pins(rest);
    this.reading = new Reading(client, this.channels, this.people);
    this.typing = new Typing(client);
    // The list of channels first: the others read it.
    this.stores = [this.channels, this.people, this.members, this.timelines, this.pins, this.reading, this.typing];
    this.listen();
  }

  /** Makes the stores available to the components. Call it while a component initializes. */
  provide(): void {
    const { me, rest, client } = this.login;
    providePeople(this.people);
    provideChannels(this.channels);
    provideMembers(this.members);
    provideTimelines(this.timelines);
    providePins(this.pins);
    provideReading(this.reading);
    provideTyping(this.typing);
    provideDrafts(new Drafts());
    provideQuotes(new Quotes(rest, this.timelines));
    provideMessageCommands(new MessageCommands(client, this.timelines, me));
  }

  private listen(): void {
    const { client } = this.login;
    // Users and tests recognize these lines in the console: they are those of the old system's page.
    client.on('dialling', ({ url }) => console.log(`Connecting to WebSocket: ${url}`));
    client.on('connection', () => void this.connected());
    client.on('event', (e) => this.apply(e));
    client.on('resync', ({ channel_id }) => this.timelines.reload(channel_id));
    client.on('refused', ({ attempt }) => attempt % 3 === 2 && void this.checkLogin());
    client.on('unauthorized', ({ code }) => this.unauthorized(code));
  }

  start(): void {
    this.login.client.connect();
  }

  stop(): void {
    this.typing.stop();
    this.login.client.close();
  }

  private apply(e: ServerEvent): void {
    for (const store of this.stores) store.apply(e);
    if (e.type === 'channel_left' && e.channel_id === router.channel) router.go({ name: 'home' });
  }

  private async connected(): Promise<void> {
    console.log('WebSocket connected');
    const open = router.channel;
    if (open) this.join(open);
    this.people.rewatch();
    await this.channels.load();
    if (router.channel && this.channels.loaded) await this.load(router.channel);
  }

  /** Opens a channel, or none. */
  open(id: string | undefined): void {
    this.typing.stop();
    this.reading.viewing = undefined;
    this.preview = undefined;
    if (!id) return;
    if (this.connection.connected) this.join(id);
    void this.load(id);
  }

  /** Loads what the open channel shows, one after the other: when a server restarts, every page loads at once. */
  private async load(id: string): Promise<void> {
    if (this.channels.loaded && !this.channels.get(id)) return this.openUnlisted(id);
    await this.timelines.load(channelView(id));
    if (router.channel === id && this.connection.connected) await this.members.load(id);
  }

  /** Shows a public channel that the user can join. Any other channel that is not in their list is out of reach. */
  private async openUnlisted(id: string): Promise<void> {
    const preview = await this.channels.preview(id);
    if (router.channel !== id || this.channels.get(id)) return;
    this.preview = preview;
    if (preview) return;
    toasts.show("You don't have access to this channel, or it doesn't exist.", 'error');
    router.go({ name: 'home' });
  }

  private join(id: string): void {
    this.login.client
      .request('join_channel', { channel_id: id })
      .then(() => console.log(`Joined channel via WebSocket: ${id}`))
      .catch(() => {}); // the next connection tries again; for any other error, loading the history shows why
  }

  /** The browser does not expose why a socket was refused. The REST API does. */
  private async checkLogin(): Promise<void> {
    try {
      await this.login.rest.channels();
    } catch (e) {
      if (isUnauthorized(e)) this.loggedOut();
    }
  }

  private unauthorized(code: number): void {
    const disabled = code === closeUserDisabled;
    toasts.show(
      disabled
        ? 'This account is disabled. Contact your administrator.'
        : "You've been logged out. Please log in again.",
      'error',
    );
    this.loggedOut();
  }
}
