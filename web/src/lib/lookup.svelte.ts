import { messageOf } from './errors.ts';

const pauseMs = 200;

/** The results of a query, looked up again when the user pauses typing. Create it while a component initializes. */
export class Lookup<T> {
  query = $state('');
  /** Undefined until the first results arrive. */
  results = $state.raw<T[]>();
  error = $state('');

  constructor(private readonly find: (query: string) => Promise<T[]>) {
    $effect(() => {
      const query = this.query.trim();
      const timer = setTimeout(() => void this.run(query), pauseMs);
      return () => clearTimeout(timer);
    });
  }

  private async run(query: string): Promise<void> {
    try {
      const results = await this.find(query);
      if (query !== this.query.trim()) return; // the user has typed more
      this.results = results;
      this.error = '';
    } catch (e) {
      this.error = messageOf(e);
    }
  }
}
