import type { LogEvent } from '@chowk/client';
import { expect, test } from 'vitest';
import { ada, message, reaction, sent, timestamp } from '../../testing/fixtures.ts';
import * as timeline from './timeline.ts';
import { addPage, addUnsent, apply, confirm, emptyTimeline, fail, grouped, reload, trim, unsent } from './timeline.ts';

const ids = (t: { items: { id: string }[] }) => t.items.map((m) => m.id);

test('shows history oldest first, and detects its beginning', () => {
  const t = addPage(emptyTimeline, [message(3), message(2)], 2);
  expect([ids(t), t.hasOlder]).toEqual([['m2', 'm3'], true]);
  const all = addPage(t, [message(1)], 2);
  expect([ids(all), all.hasOlder]).toEqual([['m1', 'm2', 'm3'], false]);
});

test('shows a message once, however often it arrives', () => {
  let t = addPage(emptyTimeline, [message(2), message(1)]);
  for (const seq of [2, 3, 3]) t = apply(t, sent(seq));
  expect(ids(t)).toEqual(['m1', 'm2', 'm3']);
});

test('keeps an unsent message last, and moves it to its place when the server has stored it', () => {
  let t = addUnsent(addPage(emptyTimeline, [message(1)]), unsent('own', 'c', ada, 'hi', null));
  t = apply(t, sent(2));
  expect(ids(t)).toEqual(['m1', 'm2', 'own']);
  t = confirm(t, 'own', 3, timestamp);
  t = apply(t, sent(4));
  expect(ids(t)).toEqual(['m1', 'm2', 'own', 'm4']);
  expect(timeline.lastSeq(t)).toBe(4);
});

test('confirms a message by its event as well: a lost reply is not a failure', () => {
  let t = addUnsent(emptyTimeline, unsent('m5', 'c', ada, 'hi', null));
  t = apply(t, sent(5, { user_id: 'ada' }));
  expect(t.items).toMatchObject([{ delivery: 'sent', seq: 5 }]);
  expect(fail(t, 'm5', 'lost').items).toMatchObject([{ delivery: 'sent' }]);
});

test('keeps a failed message and its error when the channel is reloaded', () => {
  let t = addUnsent(addPage(emptyTimeline, [message(1)]), unsent('own', 'c', ada, 'hi', null));
  t = reload(fail(t, 'own', 'no'), [message(7)]);
  expect(ids(t)).toEqual(['m7', 'own']);
  expect(t.items[1]).toMatchObject({ delivery: 'failed', error: 'no' });
});

test('edits, deletes and counts reactions, and applying an event twice changes nothing', () => {
  const edited = { channel_id: 'c', seq: 8, message_id: 'm1', user_id: 'bob', content: 'new', timestamp };
  const deleted = { channel_id: 'c', seq: 11, message_id: 'm2', user_id: 'bob', timestamp };
  const events: LogEvent[] = [
    { type: 'message_updated', ...edited },
    reaction('message_reaction', 'ada'),
    reaction('message_reaction', 'bob'),
    { type: 'message_deleted', ...deleted },
    { type: 'message_pinned', channel_id: 'c', seq: 12, message_id: 'm1', user_id: 'bob', timestamp },
  ];
  let t = addPage(emptyTimeline, [message(2), message(1)]);
  for (const e of [...events, ...events]) t = apply(t, e);
  expect(ids(t)).toEqual(['m1']);
  expect(t.items[0]).toMatchObject({ content: 'new', is_edited: true, is_pinned: true });
  expect(grouped(t.items[0]!)).toEqual([{ emoji: '🎉', users: ['ada', 'bob'] }]);
  const removed = apply(t, reaction('reaction_removed', 'ada'));
  expect(grouped(removed.items[0]!)).toEqual([{ emoji: '🎉', users: ['bob'] }]);
});

test('does not grow forever', () => {
  let t = addPage(emptyTimeline, [message(1)]);
  for (let seq = 2; seq < timeline.maxKept + 50; seq++) t = trim(apply(t, sent(seq)));
  expect(t.items).toHaveLength(timeline.maxKept);
  expect(t.hasOlder).toBe(true);
});
