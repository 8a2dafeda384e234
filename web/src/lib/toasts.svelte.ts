import { messageOf } from './errors.ts';

export interface Toast {
  id: number;
  text: string;
  kind: 'error' | 'info';
}

const shownMs = 8_000;
const maxShown = 4;

/** Short notices that disappear by themselves. */
export class Toasts {
  list = $state.raw<Toast[]>([]);
  private last = 0;

  show(text: string, kind: Toast['kind'] = 'info'): void {
    if (this.list.some((t) => t.text === text)) return;
    const id = ++this.last;
    this.list = [...this.list.slice(1 - maxShown), { id, text, kind }];
    setTimeout(() => this.dismiss(id), shownMs);
  }

  error = (e: unknown): void => this.show(messageOf(e), 'error');

  dismiss(id: number): void {
    this.list = this.list.filter((t) => t.id !== id);
  }
}

export const toasts = new Toasts();
