import { expect, test } from 'vitest';
import { uuidv7 } from '../src/index.ts';

test('UUIDs sort in order of creation, also within a millisecond and when the clock goes back', () => {
  const now = 1_700_000_000_000;
  const ids = Array.from({ length: 10_000 }, (_, i) => uuidv7(i % 2 ? now : now - 5));
  expect(new Set(ids).size).toBe(ids.length);
  expect([...ids].sort()).toEqual(ids);
});

test('a UUID contains its time of creation', () => {
  expect(parseInt(uuidv7(1_800_000_000_000).replaceAll('-', '').slice(0, 12), 16)).toBe(1_800_000_000_000);
});
