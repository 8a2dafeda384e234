import type { Channel, Role, ServerEvent } from '@chowk/client';
import { expect, test } from 'vitest';
import { channel, sent, timestamp } from '../../testing/fixtures.ts';
import { applyToList, manages, sorted, upsert } from './list.ts';

const list = [
  channel('d', { last_message_at: '2026-01-01T00:00:00Z' }),
  channel('c', { created_at: '2025-01-01T00:00:00Z' }),
];
const ids = (l: Channel[]) => l.map((c) => c.id);
const find = (l: Channel[], id: string) => l.find((c) => c.id === id)!;

test('has the latest activity first, and no archived channels', () => {
  expect(ids(applyToList(list, sent(2), 'ada'))).toEqual(['c', 'd']);
  expect(ids(sorted([...list, channel('old', { is_archived: true })]))).toEqual(['d', 'c']);
  expect(upsert(list, channel('c', { name: 'new' })).map((c) => c.name)).toEqual(['new', 'd']);
});

test('counts messages of others as unread, and nothing that was read before', () => {
  const receipt: ServerEvent = {
    type: 'read_receipt',
    channel_id: 'c',
    user_id: 'ada',
    message_id: null,
    last_read_seq: 3,
    timestamp,
  };
  let l = applyToList(applyToList(list, sent(2), 'ada'), sent(3), 'ada');
  expect(find(l, 'c').unread_count).toBe(2);
  l = applyToList(l, receipt, 'ada');
  expect(find(l, 'c').unread_count).toBe(0);
  expect(find(applyToList(l, sent(3), 'ada'), 'c').unread_count).toBe(0);
  expect(find(applyToList(l, sent(4, { user_id: 'ada' }), 'ada'), 'c').unread_count).toBe(0);
});

test('follows names and memberships', () => {
  const at = (seq: number) => ({ channel_id: 'c', seq, timestamp });
  let l = applyToList(list, { type: 'channel_updated', channel: channel('c', { name: 'tea' }), ...at(2) }, 'ada');
  expect(find(l, 'c').name).toBe('tea');
  l = applyToList(l, { type: 'member_joined', user_id: 'eve', role: 'member', ...at(3) }, 'ada');
  expect(find(l, 'c').member_count).toBe(3);
  expect(ids(applyToList(l, { type: 'channel_left', ...at(4) }, 'ada'))).toEqual(['d']);
});

test('owners and admins manage a channel', () => {
  const roles = ['owner', 'admin', 'member', 'guest'] as const;
  const mine = channel('c').my_membership!;
  const as = (role: Role) => channel('c', { my_membership: { ...mine, role } });
  expect(roles.filter((r) => manages(as(r)))).toEqual(['owner', 'admin']);
  expect(manages(channel('c', { my_membership: null }))).toBe(false);
});
