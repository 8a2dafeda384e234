import { messageOf } from './errors.ts';

/** Something a form or dialog does on the user's behalf, with its progress and error. */
export class Task {
  busy = $state(false);
  error = $state('');

  /** Runs f and reports whether it succeeded. */
  run = async (f: () => Promise<unknown>): Promise<boolean> => {
    this.busy = true;
    this.error = '';
    try {
      await f();
      return true;
    } catch (e) {
      this.error = messageOf(e);
      return false;
    } finally {
      this.busy = false;
    }
  };
}
