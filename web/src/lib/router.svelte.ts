import { hrefOf, parseRoute, type Route } from './route.ts';

/** Keeps the page and its address in step, so that links, reloading and the back button work. */
class Router {
  route = $state.raw<Route>(parseRoute(location.hash));

  constructor() {
    addEventListener('hashchange', () => (this.route = parseRoute(location.hash)));
  }

  /** The open channel. */
  get channel(): string | undefined {
    return this.route.name === 'channel' ? this.route.channel : undefined;
  }

  /** Opens a route with an entry in the browser's history. */
  go(route: Route): void {
    location.hash = hrefOf(route);
  }

  openChannel = (channel: string): void => this.go({ name: 'channel', channel });

  /** Goes home and removes the route from the address, without an entry in the browser's history. */
  reset(): void {
    history.replaceState(null, '', location.pathname);
    this.route = { name: 'home' };
  }
}

export const router = new Router();
