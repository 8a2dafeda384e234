import { expect, test } from 'vitest';
import { matches } from './match.ts';

test.each([
  ['Release notes', '', true],
  ['Release notes', '  ', true],
  ['Release notes', 'NOTES', true],
  ['Release notes', 'no rel', true],
  ['Chloé Martin', 'chloe', true],
  ['Release notes', 'notes x', false],
])('%s, query "%s": %s', (name, query, want) => expect(matches(name, query)).toBe(want));
