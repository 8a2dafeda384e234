/**
 * Exponential backoff with full jitter: anything from nothing to the bound, so that
 * clients that lost one server do not all come back at the same moment.
 */
export class Backoff {
  private attempt = 0;

  constructor(
    private readonly baseMs: number,
    private readonly capMs: number,
    private readonly random: () => number,
  ) {}

  next(): number {
    const bound = Math.min(this.capMs, this.baseMs * 2 ** Math.min(this.attempt, 30));
    this.attempt++;
    return Math.round(this.random() * bound);
  }

  reset(): void {
    this.attempt = 0;
  }
}
