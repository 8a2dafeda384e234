/** A secret from a link, which was mailed or shared. */
export interface Ticket {
  kind: 'invite' | 'reset' | 'verify';
  token: string;
}

/** Finds a ticket in an address: after #, which browsers do not send to servers, or after ?. */
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

/** Removes the ticket from the page's address, so that no history or screenshot shows it, and returns it. */
export function takeTicket(): Ticket | undefined {
  const ticket = ticketIn(location.href);
  if (ticket) history.replaceState(null, '', location.pathname);
  return ticket;
}
