import { Backoff } from './backoff.ts';
import { asChowkError, ChowkError } from './error.ts';
import type { Account, AuthConfig, Channel, ErrorCode, Member, Message, UserRef } from './types.ts';

export interface RestOptions {
  /** URL of the API, such as https://chat.example.org/api/v1. Default: /api/v1 of the page's origin. */
  base?: string;
  /** Access token. Without one, the browser's cookie authenticates the calls. */
  token?: string;
  fetch?: typeof fetch;
}

/** Maximum number of attempts at a read. */
const maxTries = 4;

/** Body of an error response (RFC 9457). */
interface Problem {
  detail?: string;
  code?: ErrorCode;
}

/** The REST API. Every call rejects with a ChowkError. */
export class Rest {
  constructor(private readonly options: RestOptions = {}) {}

  authConfig = () => this.call<AuthConfig>('GET', '/auth/config');
  me = () => this.call<Account>('GET', '/auth/me');
  signUp = (body: { email: string; password: string; first_name?: string; last_name?: string; invitation?: string }) =>
    this.call<{ user: Account }>('POST', '/auth/signup', body);
  logIn = (email: string, password: string) => this.call<{ user: Account }>('POST', '/auth/login', { email, password });
  logOut = () => this.call<void>('POST', '/auth/logout');
  changePassword = (current_password: string, new_password: string) =>
    this.call<void>('POST', '/auth/change-password', { current_password, new_password });
  requestPasswordReset = (email: string) =>
    this.call<{ message: string }>('POST', '/auth/password-reset-request', { email });
  confirmPasswordReset = (token: string, new_password: string) =>
    this.call<{ message: string }>('POST', '/auth/password-reset-confirm', { token, new_password });
  verifyEmail = (token: string) => this.call<{ message: string }>('POST', '/auth/verify-email', { token });
  invite = () => this.call<{ link: string; expires_at: string }>('POST', '/auth/invitations', {});

  channels = () => this.call<Channel[]>('GET', '/channels/');
  channel = (id: string) => this.call<Channel>('GET', `/channels/${id}`);
  browse = (query: string) => this.call<Channel[]>('GET', `/channels/browse?query=${encodeURIComponent(query)}`);
  createChannel = (body: { name: string; topic?: string; is_private?: boolean; member_ids?: string[] }) =>
    this.call<Channel>('POST', '/channels/', body);
  directChannel = (user_id: string) => this.call<Channel>('POST', '/channels/direct', { user_id });
  updateChannel = (id: string, patch: { name?: string; topic?: string; is_archived?: boolean }) =>
    this.call<Channel>('PATCH', `/channels/${id}`, patch);

  members = (id: string) => this.call<Member[]>('GET', `/channels/${id}/members`);
  addMembers = (id: string, user_ids: string[]) => this.call<void>('POST', `/channels/${id}/members`, { user_ids });
  removeMember = (id: string, user: string) =>
    this.call<void>('DELETE', `/channels/${id}/members/${encodeURIComponent(user)}`);

  /** Returns a page of messages, newest first. limit defaults to 50. */
  messages = (id: string, page: { limit?: number; before_id?: string; pinned?: boolean } = {}) => {
    const query = new URLSearchParams({ limit: String(page.limit ?? 50) });
    if (page.before_id) query.set('before_id', page.before_id);
    if (page.pinned) query.set('pinned', 'true');
    return this.call<Message[]>('GET', `/channels/${id}/messages?${query}`);
  };
  message = (channel: string, id: string) => this.call<Message>('GET', `/channels/${channel}/messages/${id}`);

  findUsers = (query: string) => this.call<UserRef[]>('GET', `/users?query=${encodeURIComponent(query)}`);
  users = (ids: string[]) => this.call<UserRef[]>('GET', `/users?ids=${ids.map(encodeURIComponent).join(',')}`);

  /** Makes a call, and repeats reads that the server was too busy to answer. */
  private async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const backoff = new Backoff(500, 8_000, Math.random);
    for (let tries = 1; ; tries++) {
      try {
        return await this.once<T>(method, path, body);
      } catch (e) {
        const error = asChowkError(e);
        const again = method === 'GET' && error.status > 0 && error.retryable && tries < maxTries;
        if (!again) throw error;
        await new Promise((r) => setTimeout(r, error.retryAfterMs + backoff.next()));
      }
    }
  }

  private async once<T>(method: string, path: string, body?: unknown): Promise<T> {
    const headers: Record<string, string> = {};
    if (this.options.token) headers['Authorization'] = `Bearer ${this.options.token}`;
    const init: RequestInit = { method, headers, credentials: 'same-origin' };
    if (body !== undefined) {
      headers['Content-Type'] = 'application/json';
      init.body = JSON.stringify(body);
    }
    let response: Response;
    try {
      response = await (this.options.fetch ?? fetch)((this.options.base ?? '/api/v1') + path, init);
    } catch {
      throw new ChowkError('unavailable', "Can't reach the server. Check your connection and try again.");
    }
    if (!response.ok) throw await errorOf(response);
    return (response.status === 204 ? undefined : await response.json()) as T;
  }
}

async function errorOf(response: Response): Promise<ChowkError> {
  const problem = (await response.json().catch(() => ({}))) as Problem;
  const code = problem.code ?? (response.status >= 500 ? 'unavailable' : 'bad_request');
  const retryAfter = Number(response.headers.get('Retry-After') ?? 0) * 1000;
  const message = problem.detail ?? `The server responded with status ${response.status}. Try again.`;
  return new ChowkError(code, message, retryAfter || 0, response.status);
}
