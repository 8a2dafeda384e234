// What a browser does for the old system's page: its requests carry a token from localStorage, and its socket carries
// only what the browser adds by itself.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { launch, serve } from './harness.mjs';

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** Serves an empty page from another origin: the same host, another port. Returns the origin. */
async function elsewhere(t) {
  const html = '<!doctype html><title>elsewhere</title>';
  const server = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end(html));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

/** Signs up and opens a socket as the old page does. Returns the outcome of each. */
const oldPage = async ({ api, email, options }) => {
  const call = async (method, path, body) => {
    const headers = { 'Content-Type': 'application/json' };
    const token = localStorage.getItem('access_token');
    if (token) headers.Authorization = `Bearer ${token}`;
    const response = await fetch(api + path, { method, headers, body: body && JSON.stringify(body), ...options });
    return response.ok ? response.json() : Promise.reject(new Error((await response.json()).detail));
  };
  const account = { email, password: 'Correct-horse-7', first_name: 'Ada', role: 'student' };
  const { access_token, user } = await call('POST', '/auth/signup', account);
  localStorage.setItem('access_token', access_token);
  const channel = await call('POST', '/channels', { name: 'tea', channel_type: 'group' });
  const frames = [];
  const socket = new WebSocket(`${api.replace(/^http/, 'ws')}/ws/${user.id}`);
  const received = (type) =>
    new Promise((resolve, reject) => {
      const check = () => {
        const f = frames.find((f) => f.type === type);
        if (f) resolve(f);
      };
      socket.addEventListener('message', check);
      socket.addEventListener('close', () => reject(new Error('the socket closed')));
      check();
    });
  socket.addEventListener('message', (e) => frames.push(JSON.parse(e.data)));
  try {
    await received('connection');
  } catch (e) {
    return { channels: (await call('GET', '/channels')).length, socket: e.message };
  }
  socket.send(JSON.stringify({ type: 'join_channel', data: { channel_id: channel.id } }));
  await received('ack');
  const sent = await call('POST', `/channels/${channel.id}/messages`, { content: 'hello', message_type: 'text' });
  const message = await received('message');
  await call('DELETE', `/channels/${channel.id}/messages/${sent.id}`);
  await received('message_deleted');
  return { channels: (await call('GET', '/channels')).length, socket: 'open', own: message.data.id === sent.id };
};

async function run(t, server, origin, path, options) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(origin + path);
  return page.evaluate(oldPage, { api: server.url + '/api/v1', email: `${Math.random()}@example.org`, options });
}

test('the old page works unchanged from the origin of the server', async (t) => {
  const server = await serve('--compat.campuspandit-page=true');
  t.after(() => server.stop());
  assert.deepEqual(await run(t, server, server.url, '/messages', {}), { channels: 1, socket: 'open', own: true });
});

test('from another origin the old page needs cookies for its socket and an allowed origin', async (t) => {
  const [allowed, other] = [await elsewhere(t), await elsewhere(t)];
  const origins = [`--origins=${allowed}`, `--cors.origins=${allowed}`];
  const server = await serve('--compat.campuspandit-page=true', ...origins);
  t.after(() => server.stop());
  const withCookies = { credentials: 'include' };
  assert.deepEqual(await run(t, server, allowed, '/', withCookies), { channels: 1, socket: 'open', own: true });
  assert.deepEqual(await run(t, server, allowed, '/', {}), { channels: 1, socket: 'the socket closed' });
  await assert.rejects(run(t, server, other, '/', withCookies), /Failed to fetch/);
});
