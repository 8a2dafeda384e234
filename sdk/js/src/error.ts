import type { ErrorCode } from './types.ts';

/** Something that the server refused, or that could not be asked. */
export class ChowkError extends Error {
  override name = 'ChowkError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly retryAfterMs = 0,
    /** The HTTP status of a REST call, 0 for a socket. */
    readonly status = 0,
  ) {
    super(message);
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return this.code === 'rate_limited' || this.code === 'overloaded' || this.code === 'unavailable' || this.code === 'internal';
  }
}

/** The error of whoever asks while there is no connection, or loses it before the answer. */
export function disconnected(): ChowkError {
  return new ChowkError('unavailable', 'There is no connection to the server at this moment. Try again when it is back.');
}

export function asChowkError(e: unknown): ChowkError {
  return e instanceof ChowkError ? e : new ChowkError('internal', e instanceof Error ? e.message : String(e));
}
