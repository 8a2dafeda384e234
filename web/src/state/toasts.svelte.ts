import { ChowkError } from '@chowk/client';

export interface Toast {
  id: number;
  text: string;
  kind: 'error' | 'info';
}

const shownMs = 8_000;

/** What is to be said once and goes away by itself. */
export class Toasts {
  list = $state.raw<Toast[]>([]);
  private last = 0;

  say(text: string, kind: Toast['kind'] = 'info'): void {
    if (this.list.some((t) => t.text === text)) return;
    const id = ++this.last;
    this.list = [...this.list.slice(-3), { id, text, kind }];
    setTimeout(() => this.dismiss(id), shownMs);
  }

  error = (e: unknown): void => this.say(messageOf(e), 'error');

  dismiss(id: number): void {
    this.list = this.list.filter((t) => t.id !== id);
  }
}

export function messageOf(e: unknown): string {
  if (e instanceof ChowkError) return e.message;
  return 'Something went wrong on this page. Load it again.';
}

export const toasts = new Toasts();
