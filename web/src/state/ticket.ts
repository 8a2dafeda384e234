/** A secret out of a link that was mailed or handed over. */
export interface Ticket {
  kind: 'invite' | 'reset' | 'verify';
  token: string;
}

/** Finds a ticket in an address: after #, where no log sees it, or after ? */
export function ticketIn(address: string): Ticket | undefined {
  const url = new URL(address);
  for (const part of [url.hash.slice(1), url.search.slice(1)]) {
    const values = new URLSearchParams(part);
    for (const kind of ['invite', 'reset', 'verify'] as const) {
      const token = values.get(kind);
      if (token) return { kind, token };
    }
  }
  return undefined;
}

/** Takes the ticket out of the page's address, so that it is in no history and no screenshot. */
export function takeTicket(): Ticket | undefined {
  const ticket = ticketIn(location.href);
  if (ticket) history.replaceState(null, '', location.pathname);
  return ticket;
}
