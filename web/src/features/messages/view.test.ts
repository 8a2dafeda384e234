import { expect, test } from 'vitest';
import { sent } from '../../testing/fixtures.ts';
import { channelView, includes, keyOf } from './view.ts';

test('views of different channels have different keys', () => {
  expect(keyOf(channelView('a'))).toBe(keyOf(channelView('a')));
  expect(keyOf(channelView('a'))).not.toBe(keyOf(channelView('b')));
});

test('a channel includes its own entries', () => {
  expect(includes(channelView('c'), sent(1))).toBe(true);
  expect(includes(channelView('d'), sent(1))).toBe(false);
});
