/**
 * Exponential backoff with full jitter: each delay is random between zero and a bound that doubles, so that clients
 * that lost the same server do not all reconnect at once.
 */
export class Backoff {
  private attempt = 0;

  constructor(
    private readonly baseMs: number,
    private readonly capMs: number,
    private readonly random: () => number,
  ) {}

  /** Returns the next delay in milliseconds. */
  next(): number {
    const bound = Math.min(this.capMs, this.baseMs * 2 ** Math.min(this.attempt, 30));
    this.attempt++;
    return Math.round(this.random() * bound);
  }

  /** Starts again with the shortest bound. */
  reset(): void {
    this.attempt = 0;
  }
}
