import { ChowkClient, ChowkError, Rest, type Account, type AuthConfig, type UserRef } from '@chowk/client';
import { Chat } from './chat.svelte.ts';
import { takeTicket, type Ticket } from './ticket.ts';
import { messageOf, toasts } from './toasts.svelte.ts';

/** starting: not known yet. name: development, anybody is believed. foreign: another application logs people in. */
export type Stage = 'starting' | 'unreachable' | 'name' | 'login' | 'foreign' | 'chat';

const nameKey = 'chowk.name';

/** Who the user is, and the chat that follows from it. */
export class Session {
  stage = $state<Stage>('starting');
  trouble = $state('');
  config = $state.raw<AuthConfig>({ mode: 'accounts', signup: 'closed' });
  account = $state.raw<Account>();
  chat = $state.raw<Chat>();
  ticket = $state.raw<Ticket | undefined>(takeTicket());
  rest = new Rest();

  async start(): Promise<void> {
    try {
      this.config = await this.rest.authConfig();
      if (this.config.mode === 'none') {
        const name = sessionStorage.getItem(nameKey);
        if (name) this.enterAs(name);
        else this.stage = 'name';
        return;
      }
      await this.verify();
      this.open(await this.rest.me());
    } catch (e) {
      if (e instanceof ChowkError && e.code === 'unauthorized') this.stage = this.outside();
      else this.fail(e);
    }
  }

  private outside(): Stage {
    return this.config.mode === 'jwt' ? 'foreign' : this.config.mode === 'none' ? 'name' : 'login';
  }

  private fail(e: unknown): void {
    this.trouble = messageOf(e);
    this.stage = 'unreachable';
  }

  private async verify(): Promise<void> {
    if (this.ticket?.kind !== 'verify') return;
    const { token } = this.ticket;
    this.ticket = undefined;
    try {
      toasts.say((await this.rest.verifyEmail(token)).message);
    } catch (e) {
      toasts.error(e);
    }
  }

  /** Development: the name is the token. */
  enterAs(name: string): void {
    sessionStorage.setItem(nameKey, name);
    this.rest = new Rest({ token: name });
    this.open({ id: name, name, email: null, is_admin: false, is_verified: true }, name);
  }

  async logIn(email: string, password: string): Promise<void> {
    this.open((await this.rest.logIn(email, password)).user);
  }

  async signUp(body: Parameters<Rest['signUp']>[0]): Promise<void> {
    const { user } = await this.rest.signUp({ ...body, ...(this.ticket?.kind === 'invite' && { invitation: this.ticket.token }) });
    this.ticket = undefined;
    this.open(user);
  }

  async resetPassword(password: string): Promise<void> {
    await this.rest.confirmPasswordReset(this.ticket?.token ?? '', password);
    this.ticket = undefined;
    toasts.say('Your password is changed. Log in with it.');
  }

  async logOut(): Promise<void> {
    // Before the server ends the socket, which would look like somebody else's doing.
    this.chat?.stop();
    try {
      if (this.config.mode !== 'none') await this.rest.logOut();
    } catch (e) {
      if (!(e instanceof ChowkError) || e.code !== 'unauthorized') {
        this.chat?.start();
        return toasts.error(e);
      }
    }
    this.leave();
  }

  private open(account: Account, token?: string): void {
    this.account = account;
    const me: UserRef = { id: account.id, name: account.name || account.id };
    const url = new URL('/api/v1/ws', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.hash = '';
    const client = new ChowkClient({ url: url.href, ...(token && { token }) });
    this.chat = new Chat(me, this.rest, client, () => this.leave());
    this.stage = 'chat';
    this.chat.start();
  }

  private leave(): void {
    this.chat?.stop();
    this.chat = undefined;
    this.account = undefined;
    this.rest = new Rest();
    sessionStorage.removeItem(nameKey);
    history.replaceState(null, '', location.pathname);
    this.stage = this.outside();
  }
}
