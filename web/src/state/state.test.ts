import type { Channel, LogEvent, Member, Message } from '@chowk/client';
import { describe, expect, test } from 'vitest';
import { applyToChannels, applyToMembers, otherOf, sorted, upsert } from './channels.ts';
import { addDraft, addPage, apply, confirm, draft, emptyTimeline, fail, grouped, keep, lastSeq, reload, trim } from './timeline.ts';

const timestamp = '2026-01-02T15:04:05Z';
const message = (seq: number, more: Partial<Message> = {}): Message => ({
  id: `m${seq}`, channel_id: 'c', seq, user_id: 'bob', content: `text ${seq}`, message_type: 'text', parent_message_id: null,
  file_url: null, file_name: null, is_edited: false, is_deleted: false, created_at: timestamp, reactions: [], ...more,
});
const sent = (seq: number, more: object = {}): LogEvent => ({
  type: 'message', channel_id: 'c', seq, timestamp,
  data: { id: `m${seq}`, channel_id: 'c', seq, user_id: 'bob', content: `text ${seq}`, created_at: timestamp, message_type: 'text', ...more },
});
const reaction = (type: 'message_reaction' | 'reaction_removed', user_id: string): LogEvent => ({
  type, channel_id: 'c', seq: 9, message_id: 'm1', user_id, emoji: '🎉', reaction_count: 1, timestamp,
});
const ids = (t: { items: { id: string }[] }) => t.items.map((m) => m.id);
const ada = { id: 'ada', name: 'Ada' };

describe('a timeline', () => {
  test('shows history oldest first, and knows when there is no more', () => {
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

  test('keeps what was written last until the server has it, and then puts it in its place', () => {
    let t = addDraft(addPage(emptyTimeline, [message(1)]), draft('own', 'c', ada, 'hi', null));
    t = apply(t, sent(2));
    expect(ids(t)).toEqual(['m1', 'm2', 'own']);
    t = confirm(t, 'own', 3, timestamp);
    t = apply(t, sent(4));
    expect(ids(t)).toEqual(['m1', 'm2', 'own', 'm4']);
    expect(lastSeq(t)).toBe(4);
  });

  test('confirms a message by its frame too, and an answer that was lost is no failure', () => {
    let t = addDraft(emptyTimeline, draft('m5', 'c', ada, 'hi', null));
    t = apply(t, sent(5, { user_id: 'ada' }));
    expect(t.items).toMatchObject([{ delivery: 'sent', seq: 5 }]);
    expect(fail(t, 'm5', 'lost').items).toMatchObject([{ delivery: 'sent' }]);
  });

  test('says why a message was not sent, and keeps it when the channel is loaded again', () => {
    let t = addDraft(addPage(emptyTimeline, [message(1)]), draft('own', 'c', ada, 'hi', null));
    t = reload(fail(t, 'own', 'no'), [message(7)]);
    expect(ids(t)).toEqual(['m7', 'own']);
    expect(t.items[1]).toMatchObject({ delivery: 'failed', error: 'no' });
  });

  test('edits, deletes and counts reactions, and doing it twice changes nothing', () => {
    let t = addPage(emptyTimeline, [message(2), message(1)]);
    const events: LogEvent[] = [
      { type: 'message_updated', channel_id: 'c', seq: 8, message_id: 'm1', user_id: 'bob', content: 'new', timestamp },
      reaction('message_reaction', 'ada'),
      reaction('message_reaction', 'bob'),
      { type: 'message_deleted', channel_id: 'c', seq: 11, message_id: 'm2', user_id: 'bob', timestamp },
    ];
    for (const e of [...events, ...events]) t = apply(t, e);
    expect(ids(t)).toEqual(['m1']);
    expect(t.items[0]).toMatchObject({ content: 'new', is_edited: true });
    expect(grouped(t.items[0]!)).toEqual([{ emoji: '🎉', users: ['ada', 'bob'] }]);
    expect(grouped(apply(t, reaction('reaction_removed', 'ada')).items[0]!)).toEqual([{ emoji: '🎉', users: ['bob'] }]);
  });

  test('does not grow for ever', () => {
    let t = addPage(emptyTimeline, [message(1)]);
    for (let seq = 2; seq < keep + 50; seq++) t = trim(apply(t, sent(seq)));
    expect(t.items).toHaveLength(keep);
    expect(t.hasOlder).toBe(true);
  });
});

const channel = (id: string, more: Partial<Channel> = {}): Channel => ({
  id, name: id, description: null, channel_type: 'group', is_private: false, is_archived: false, created_by: 'ada', topic: null,
  member_count: 2, message_count: 0, last_message_at: null, created_at: timestamp, last_seq: 1, unread_count: 0,
  my_membership: { user_id: 'ada', role: 'owner', is_starred: false, is_muted: false, unread_count: 0, joined_at: timestamp, last_read_seq: 1 },
  ...more,
});

describe('the list of channels', () => {
  const list = [channel('d', { last_message_at: '2026-01-01T00:00:00Z' }), channel('c', { created_at: '2025-01-01T00:00:00Z' })];

  test('has the newest activity first, and no archived ones', () => {
    expect(applyToChannels(list, sent(2), 'ada').map((c) => c.id)).toEqual(['c', 'd']);
    expect(sorted([...list, channel('old', { is_archived: true })]).map((c) => c.id)).toEqual(['d', 'c']);
    expect(upsert(list, channel('c', { name: 'new' })).map((c) => c.name)).toEqual(['new', 'd']);
  });

  test('counts what others write, and nothing that was read before', () => {
    const unread = (l: Channel[]) => l.find((c) => c.id === 'c')!.unread_count;
    let l = applyToChannels(applyToChannels(list, sent(2), 'ada'), sent(3), 'ada');
    expect(unread(l)).toBe(2);
    l = applyToChannels(l, { type: 'read_receipt', channel_id: 'c', user_id: 'ada', message_id: null, last_read_seq: 3, timestamp }, 'ada');
    expect(unread(l)).toBe(0);
    expect(unread(applyToChannels(l, sent(3), 'ada'))).toBe(0);
    expect(unread(applyToChannels(l, sent(4, { user_id: 'ada' }), 'ada'))).toBe(0);
  });

  test('follows names and memberships', () => {
    let l = applyToChannels(list, { type: 'channel_updated', channel_id: 'c', seq: 2, channel: channel('c', { name: 'tea' }), timestamp }, 'ada');
    expect(l.find((c) => c.id === 'c')?.name).toBe('tea');
    l = applyToChannels(l, { type: 'member_joined', channel_id: 'c', seq: 3, user_id: 'eve', timestamp }, 'ada');
    expect(l.find((c) => c.id === 'c')?.member_count).toBe(3);
    expect(applyToChannels(l, { type: 'channel_left', channel_id: 'c', seq: 4, timestamp }, 'ada')).toHaveLength(1);
  });

  test('knows whom a direct channel is with, hyphens or not', () => {
    const direct = (name: string) => channel('x', { channel_type: 'direct', name });
    expect(otherOf(direct('DM-ada-bob'), 'ada')).toBe('bob');
    expect(otherOf(direct('DM-bob-ada'), 'ada')).toBe('bob');
    expect(otherOf(direct('DM-a-b-c-d'), 'c-d')).toBe('a-b');
    expect(otherOf(channel('c'), 'ada')).toBeUndefined();
  });
});

test('members come, go, change and read', () => {
  let m: Member[] = [{ user_id: 'ada', role: 'owner', joined_at: timestamp, last_read_seq: 0 }];
  m = applyToMembers(m, { type: 'member_joined', channel_id: 'c', seq: 2, user_id: 'bob', role: 'guest', timestamp });
  m = applyToMembers(m, { type: 'member_updated', channel_id: 'c', seq: 3, user_id: 'bob', role: 'admin', timestamp });
  m = applyToMembers(m, sent(4));
  m = applyToMembers(m, { type: 'read_receipt', channel_id: 'c', user_id: 'bob', message_id: null, last_read_seq: 3, timestamp });
  expect(m[1]).toMatchObject({ user_id: 'bob', role: 'admin', last_read_seq: 4 });
  expect(applyToMembers(m, { type: 'member_left', channel_id: 'c', seq: 5, user_id: 'bob', timestamp })).toHaveLength(1);
});
