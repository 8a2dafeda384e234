import type { Member } from '@chowk/client';
import { expect, test } from 'vitest';
import { sent, timestamp } from '../../testing/fixtures.ts';
import { applyToMembers } from './members.ts';

const at = (seq: number) => ({ channel_id: 'c', seq, timestamp });
const owner: Member = { user_id: 'ada', role: 'owner', joined_at: timestamp, last_read_seq: 0 };

test('members join, leave, change and read', () => {
  let m = applyToMembers([owner], { type: 'member_joined', user_id: 'bob', role: 'guest', ...at(2) });
  m = applyToMembers(m, { type: 'member_updated', user_id: 'bob', role: 'admin', ...at(3) });
  m = applyToMembers(m, sent(4));
  const receipt = { channel_id: 'c', user_id: 'bob', message_id: null, last_read_seq: 3, timestamp };
  m = applyToMembers(m, { type: 'read_receipt', ...receipt });
  expect(m[1]).toMatchObject({ user_id: 'bob', role: 'admin', last_read_seq: 4 });
  expect(applyToMembers(m, { type: 'member_left', user_id: 'bob', ...at(5) })).toHaveLength(1);
});

test('an event that changes nothing keeps the list', () => {
  const members = [owner];
  expect(applyToMembers(members, sent(4))).toBe(members);
});
