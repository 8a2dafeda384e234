import type { ErrorCode } from './types.ts';

const retryableCodes = new Set<ErrorCode>(['rate_limited', 'overloaded', 'unavailable', 'internal']);

/** A request that the server refused or that could not be sent. */
export class ChowkError extends Error {
  override name = 'ChowkError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly retryAfterMs = 0,
    /** HTTP status of a REST call; 0 for a command on a socket or when there was no response. */
    readonly status = 0,
  ) {
    super(message);
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return retryableCodes.has(this.code);
  }
}

/** Returns the error of a request made while there is no connection, or whose connection was lost before the reply. */
export function disconnected(): ChowkError {
  return new ChowkError('unavailable', "You're offline. Try again when you've reconnected.");
}

/** Returns e as a ChowkError: other errors get the code internal. */
export function asChowkError(e: unknown): ChowkError {
  return e instanceof ChowkError ? e : new ChowkError('internal', e instanceof Error ? e.message : String(e));
}
