import { ChowkError } from '@chowk/client';

/** Returns the text that tells the user about an error. */
export function messageOf(e: unknown): string {
  if (e instanceof ChowkError) return e.message;
  return 'Something went wrong. Reload the page.';
}

/** Reports whether a call failed because there was no response at all. */
export function isUnreachable(e: unknown): boolean {
  return e instanceof ChowkError && e.code === 'unavailable' && e.status === 0;
}

/** Reports whether a call failed because the user is not logged in. */
export function isUnauthorized(e: unknown): boolean {
  return e instanceof ChowkError && e.code === 'unauthorized';
}
