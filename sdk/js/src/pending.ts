import { ChowkError } from './error.ts';

interface Waiting {
  resolve(response: unknown): void;
  reject(error: ChowkError): void;
  timer: ReturnType<typeof setTimeout>;
}

/** Requests on one socket that have no reply yet. */
export class Pending {
  private readonly waiting = new Map<string, Waiting>();
  private last = 0;

  constructor(private readonly timeoutMs: number) {}

  /** Adds a request. Returns its id and a promise of its reply. */
  add(): { id: string; answer: Promise<unknown> } {
    const id = `c-${++this.last}`;
    const answer = new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(
        () => this.reject(id, new ChowkError('unavailable', "The server didn't answer in time. Try again.")),
        this.timeoutMs,
      );
      this.waiting.set(id, { resolve, reject, timer });
    });
    return { id, answer };
  }

  resolve(id: string | undefined, response: unknown): void {
    this.take(id)?.resolve(response);
  }

  reject(id: string | undefined, error: ChowkError): void {
    this.take(id)?.reject(error);
  }

  failAll(error: ChowkError): void {
    for (const id of [...this.waiting.keys()]) this.reject(id, error);
  }

  private take(id: string | undefined): Waiting | undefined {
    const w = id === undefined ? undefined : this.waiting.get(id);
    if (w) {
      clearTimeout(w.timer);
      this.waiting.delete(id!);
    }
    return w;
  }
}
