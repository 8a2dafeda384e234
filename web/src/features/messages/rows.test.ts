import { expect, test } from 'vitest';
import { message } from '../../testing/fixtures.ts';
import { rowsOf } from './rows.ts';
import type { Item } from './timeline.ts';

const at = (minute: number): string => new Date(2026, 0, 2, 10, minute).toISOString();
const item = (seq: number, minute: number, more: Partial<Item> = {}): Item => ({
  ...message(seq, { created_at: at(minute) }),
  delivery: 'sent',
  ...more,
});
const continued = (items: Item[], newAfter?: number) => rowsOf(items, newAfter, 'ada').map((r) => r.continued);

test('groups messages of one author within five minutes of the first', () => {
  expect(continued([0, 2, 4, 6, 8].map((minute, i) => item(i + 1, minute)))).toEqual([false, true, true, false, true]);
});

test('begins a group at another author, a reply, a new day and the first new message', () => {
  expect(continued([item(1, 0), item(2, 0, { user_id: 'eve' })])).toEqual([false, false]);
  expect(continued([item(1, 0), item(2, 0, { parent_message_id: 'm1' }), item(3, 0)])).toEqual([false, false, true]);
  expect(continued([item(1, -601), item(2, -599)])).toEqual([false, false]);
  expect(continued([item(1, 0), item(2, 0)], 1)).toEqual([false, false]);
});

test('marks the first message of each day', () => {
  const rows = rowsOf([item(1, -601), item(2, -599), item(3, 0)], undefined, 'ada');
  expect(rows.map((r) => r.newDay)).toEqual([true, true, false]);
});

test('marks the first message of others above the line, and none without a line', () => {
  const items = [item(1, 0), item(2, 0, { user_id: 'ada' }), item(3, 0), item(4, 0)];
  const firstNew = (newAfter?: number) => rowsOf(items, newAfter, 'ada').findIndex((r) => r.firstNew);
  expect([firstNew(1), firstNew(0), firstNew(4), firstNew()]).toEqual([2, 0, -1, -1]);
});
