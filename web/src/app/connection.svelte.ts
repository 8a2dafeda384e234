import type { ChowkClient, ConnectionState } from '@chowk/client';

/** How long the connection may be lost before the user is notified. */
const graceMs = 1_200;

/** The state of the connection, as the page shows it. */
export class Connection {
  state = $state<ConnectionState>('connecting');
  /** Whether the connection has been lost for long enough to notify the user. */
  away = $state(false);
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly client: ChowkClient) {
    client.on('state', (state) => this.changed(state));
  }

  get connected(): boolean {
    return this.state === 'connected';
  }

  private changed(state: ConnectionState): void {
    this.state = state;
    if (state === 'connected' || state === 'stopped') {
      clearTimeout(this.timer);
      this.timer = undefined;
      this.away = false;
    } else {
      this.timer ??= setTimeout(() => (this.away = true), graceMs);
    }
  }

  /** Reconnects now, or checks that the server still answers. */
  wake = (): void => this.client.wake();
}
