import { ChowkClient, Rest, type Account, type AuthConfig, type UserRef } from '@chowk/client';
import { createContext } from 'svelte';
import { isUnauthorized, isUnreachable, messageOf } from '../../lib/errors.ts';
import { router } from '../../lib/router.svelte.ts';
import { toasts } from '../../lib/toasts.svelte.ts';
import { takeTicket, type Ticket } from './ticket.ts';

/**
 * What the page shows to a user who is not logged in. name: the server is in development mode and accepts any name.
 * external: users log in to another application.
 */
export type Stage = 'starting' | 'unreachable' | 'name' | 'login' | 'external' | 'loggedIn';

/** The parts of an account that the page uses. */
type OwnAccount = Pick<Account, 'id' | 'name' | 'email' | 'is_admin' | 'is_verified'>;

/** A logged-in user, with the connections that authenticate as them. */
export interface Login {
  me: UserRef;
  rest: Rest;
  client: ChowkClient;
}

const nameKey = 'chowk.name';

/** Who the user is. */
export class Session {
  stage = $state<Stage>('starting');
  /** Why the server could not be reached. */
  error = $state('');
  config = $state.raw<AuthConfig>({ mode: 'accounts', signup: 'closed' });
  account = $state.raw<OwnAccount>();
  login = $state.raw<Login>();
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
      await this.verifyEmail();
      this.open(await this.rest.me());
    } catch (e) {
      if (isUnauthorized(e)) this.stage = this.loggedOutStage();
      else this.fail(e);
    }
  }

  private loggedOutStage(): Stage {
    return ({ jwt: 'external', none: 'name', accounts: 'login' } as const)[this.config.mode];
  }

  private fail(e: unknown): void {
    this.error = isUnreachable(e) ? 'Check your connection and try again.' : messageOf(e);
    this.stage = 'unreachable';
  }

  private async verifyEmail(): Promise<void> {
    if (this.ticket?.kind !== 'verify') return;
    const { token } = this.ticket;
    this.ticket = undefined;
    try {
      toasts.show((await this.rest.verifyEmail(token)).message);
    } catch (e) {
      toasts.error(e);
    }
  }

  /** Logs in to a server in development mode, where the name is the token. */
  enterAs(name: string): void {
    sessionStorage.setItem(nameKey, name);
    this.rest = new Rest({ token: name });
    this.open({ id: name, name, email: null, is_admin: false, is_verified: true }, name);
  }

  async logIn(email: string, password: string): Promise<void> {
    this.open((await this.rest.logIn(email, password)).user);
  }

  async signUp(body: Parameters<Rest['signUp']>[0]): Promise<void> {
    const invitation = this.ticket?.kind === 'invite' && { invitation: this.ticket.token };
    const { user } = await this.rest.signUp({ ...body, ...invitation });
    this.ticket = undefined;
    this.open(user);
  }

  async resetPassword(password: string): Promise<void> {
    await this.rest.confirmPasswordReset(this.ticket?.token ?? '', password);
    this.ticket = undefined;
    toasts.show('Password changed. Log in with your new password.');
  }

  /** Logs out and reports whether it succeeded. */
  async logOut(): Promise<boolean> {
    try {
      if (this.config.mode !== 'none') await this.rest.logOut();
    } catch (e) {
      if (!isUnauthorized(e)) {
        toasts.error(e);
        return false;
      }
    }
    this.ended();
    router.reset();
    return true;
  }

  private open(account: OwnAccount, token?: string): void {
    this.account = account;
    const url = new URL('/api/v1/ws', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.hash = '';
    this.login = {
      me: { id: account.id, name: account.name || account.id },
      rest: this.rest,
      client: new ChowkClient({ url: url.href, ...(token && { token }) }),
    };
    this.stage = 'loggedIn';
  }

  /** The user is no longer logged in. The address stays, so that the next log-in leads back to it. */
  ended(): void {
    this.login = undefined;
    this.account = undefined;
    this.rest = new Rest();
    sessionStorage.removeItem(nameKey);
    this.stage = this.loggedOutStage();
  }
}

export const [useSession, provideSession] = createContext<Session>();
