import { expect, test } from 'vitest';

/** Which parts of the page each part may import, besides itself. */
const layers: Record<string, string[]> = {
  lib: [],
  ui: ['lib'],
  'features/people': ['lib', 'ui'],
  'features/search': ['lib', 'ui'],
  'features/channels': ['lib', 'ui', 'features/people'],
  'features/messages': ['lib', 'ui', 'features/people', 'features/channels'],
  'features/account': ['lib', 'ui', 'features/people'],
  app: ['lib', 'ui', ...['people', 'search', 'channels', 'messages', 'account'].map((f) => `features/${f}`)],
};

const sources = import.meta.glob<string>(['./**/*.{ts,svelte}', '!./**/*.test.ts'], {
  query: '?raw',
  import: 'default',
  eager: true,
});

const layerOf = (path: string) => Object.keys(layers).find((l) => path.startsWith(`/${l}/`));

/** Returns the layers that a file imports from. */
function importsOf(path: string, source: string): string[] {
  const targets = [...source.matchAll(/from '(\.[^']+)'/g)].map((m) => new URL(m[1]!, `file://${path}`).pathname);
  return targets.map((t) => layerOf(t) ?? t);
}

test.each(Object.keys(layers))('%s imports only what it may', (layer) => {
  const files = Object.entries(sources).map(([path, source]) => [path.slice(1), source] as const);
  const own = files.filter(([path]) => layerOf(path) === layer);
  const wrong = own.flatMap(([path, source]) =>
    importsOf(path, source)
      .filter((l) => l !== layer && !layers[layer]!.includes(l))
      .map((l) => `${path} imports ${l}`),
  );
  expect(own.length).toBeGreaterThan(0);
  expect(wrong).toEqual([]);
});
