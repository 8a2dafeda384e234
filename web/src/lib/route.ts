/** What the page shows, taken from its address. A new kind of page is one more line here and in each function below. */
export type Route = { name: 'home' } | { name: 'channel'; channel: string };

const channelHash = /^#\/c\/([0-9a-f-]{36})$/;

/** Returns the route in the fragment of an address. Unknown fragments lead home. */
export function parseRoute(hash: string): Route {
  const channel = channelHash.exec(hash)?.[1];
  return channel ? { name: 'channel', channel } : { name: 'home' };
}

/** Returns the fragment of a route, for links. */
export function hrefOf(route: Route): string {
  return route.name === 'channel' ? `#/c/${route.channel}` : '#/';
}

export const channelHref = (channel: string): string => hrefOf({ name: 'channel', channel });
