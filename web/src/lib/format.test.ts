import { expect, test } from 'vitest';
import { dayOf, initials, listOf, plural } from './format.ts';

test('lists names as people write them', () => {
  const names = ['Ana', 'Ben', 'Chloe', 'Dev'];
  expect([1, 2, 3, 4].map((n) => listOf(names.slice(0, n)))).toEqual([
    'Ana',
    'Ana and Ben',
    'Ana, Ben and 1 other',
    'Ana, Ben and 2 others',
  ]);
  expect(listOf(names, 8)).toBe('Ana, Ben, Chloe and Dev');
});

test('counts in singular and plural', () => {
  expect([0, 1, 2].map((n) => plural(n, 'member'))).toEqual(['0 members', '1 member', '2 members']);
});

test('takes initials from the first and the last word', () => {
  const names = ['Ada Lovelace', 'ada', 'jean-luc picard', '', '😀 x'];
  expect(names.map(initials)).toEqual(['AL', 'A', 'JP', '?', '😀X']);
});

test('names today and yesterday', () => {
  const now = new Date(2026, 2, 30, 0, 30);
  expect(dayOf(new Date(2026, 2, 30, 0, 10).toISOString(), now)).toBe('Today');
  expect(dayOf(new Date(2026, 2, 29, 0, 10).toISOString(), now)).toBe('Yesterday');
  expect(dayOf(new Date(2026, 2, 28, 23, 50).toISOString(), now)).toContain('28');
});
