import { expect, test } from 'vitest';
import { hrefOf, parseRoute, type Route } from './route.ts';

const channel = '0190a5e2-7b1c-7d3e-8f00-0123456789ab';

test.each<Route>([{ name: 'home' }, { name: 'channel', channel }])('$name survives the address bar', (route) => {
  expect(parseRoute(hrefOf(route))).toEqual(route);
});

test.each(['', '#', '#/', '#/c/', '#/c/tea', `#/c/${channel}/x`, '#/elsewhere'])('%s leads home', (hash) => {
  expect(parseRoute(hash)).toEqual({ name: 'home' });
});
