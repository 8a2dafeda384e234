import { expect, test } from 'vitest';
import { ticketIn } from './ticket.ts';

test.each([
  ['https://x/messages#invite=abc_-1', { kind: 'invite', token: 'abc_-1' }],
  ['https://x/messages?invite=abc', { kind: 'invite', token: 'abc' }],
  ['https://x/messages#reset=r', { kind: 'reset', token: 'r' }],
  ['https://x/messages#verify=v', { kind: 'verify', token: 'v' }],
  ['https://x/messages#/c/1', undefined],
  ['https://x/messages#invite=', undefined],
])('%s', (address, ticket) => expect(ticketIn(address)).toEqual(ticket));
