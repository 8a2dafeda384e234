/** Reports whether a name contains every word of a query, in any order and regardless of case and accents. */
export function matches(name: string, query: string): boolean {
  const text = fold(name);
  return fold(query)
    .split(/\s+/)
    .every((word) => text.includes(word));
}

const fold = (s: string): string => s.normalize('NFD').replace(/\p{M}/gu, '').toLocaleLowerCase();
