// Starts the real server and a real Chromium, and drives the page.
import { spawn, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const browsers = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Starts a browser. Set CHROMIUM to its path if it is not in a usual place, and HEADED to see it. */
export async function launch() {
  const executablePath = process.env.CHROMIUM ?? browsers.find(existsSync);
  if (!executablePath) throw new Error('Chromium is not installed: run make tools, or set CHROMIUM to its path');
  return chromium.launch({
    executablePath,
    headless: !process.env.HEADED,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
    ],
  });
}

/** Starts a server. stop() ends it as a supervisor does, kill() as a power failure would. */
export async function serve(...settings) {
  const binary = process.env.CHOWK_BIN;
  if (!binary) throw new Error('CHOWK_BIN must be the path of the server: run make test-browser');
  const dir = mkdtempSync(join(tmpdir(), 'chowk-browser-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true })); // kill() keeps it for the next server
  const has = (name) => settings.some((s) => s.startsWith(`--${name}=`));
  const args = ['serve', '--log.format=json', '--drain.window=200ms', ...settings];
  if (!has('listen')) args.push('--listen=127.0.0.1:0');
  if (!has('data-dir')) args.push(`--data-dir=${dir}`);
  // The server refuses unknown settings, and the variables of the tests look like settings.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CHOWK_')));
  const child = spawn(binary, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const lines = [];
  const exited = new Promise((resolve) => child.on('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      if (line.includes('"listening"')) resolve(new URL(JSON.parse(line).url).origin);
    });
    exited.then(() => reject(new Error('the server exited:\n' + lines.join('\n'))));
  });
  return {
    url,
    lines,
    dir: has('data-dir') ? settings.find((s) => s.startsWith('--data-dir=')).slice('--data-dir='.length) : dir,
    async stop() {
      child.kill('SIGTERM');
      await exited;
      rmSync(dir, { recursive: true, force: true });
    },
    /** Ends the server and keeps its data. */
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** Opens the page as a user, in a browser context of their own. Collects everything that goes wrong there. */
export async function visit(browser, server, name, { sockets } = {}) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const errors = [];
  const log = [];
  page.on('console', (m) => {
    log.push(m.text());
    if (m.type() === 'error') errors.push(m.text());
  });
  page.on('pageerror', (e) => errors.push(String(e)));
  page.on('dialog', (d) => {
    errors.push('dialog: ' + d.message());
    d.dismiss();
  });
  page.on('websocket', () => sockets && sockets.count++);
  await page.goto(server.url + '/messages');
  if (name) {
    await page.getByTestId('name-input').fill(name);
    await page.getByTestId('enter').click();
  }
  return { name, context, page, errors, log };
}

/** Waits until f returns a true value, and returns it. */
export async function until(what, f, ms = 60_000) {
  const end = Date.now() + ms;
  for (;;) {
    const got = await f();
    if (got) return got;
    if (Date.now() > end) throw new Error('timed out waiting for ' + what);
    await new Promise((r) => setTimeout(r, 50));
  }
}

/** Calls the REST API as a user of a server in development mode. */
export async function rest(server, user, method, path, body) {
  const r = await fetch(server.url + '/api/v1' + path, {
    method,
    headers: { Authorization: `Bearer ${user}`, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${await r.text()}`);
  return r.status === 204 ? null : r.json();
}

/** Returns one number from PostgreSQL. */
export function sql(url, statement) {
  return Number(execFileSync('psql', ['-XAtc', statement, url], { encoding: 'utf8' }).trim());
}

/** The text of the messages on a page that contain s. */
export const text = (page, s) => page.getByTestId('message-text').filter({ hasText: s });

/** The messages on a page that contain s. */
export const message = (page, s) => page.getByTestId('message').filter({ hasText: s });

/** Sends a message from the composer. */
export async function send(page, s) {
  await page.getByTestId('composer').fill(s);
  await page.getByTestId('composer').press('Enter');
}

/** Starts a server with a channel of ada and bob, and opens it for both. */
export async function two(browser, t, ...settings) {
  const server = await serve('--auth=none', ...settings);
  t.after(() => server.stop().catch(() => {}));
  for (const u of ['ada', 'bob']) await rest(server, u, 'GET', '/channels/');
  const channel = await rest(server, 'ada', 'POST', '/channels/', { name: 'tea', member_ids: ['bob'] });
  const users = await Promise.all(['ada', 'bob'].map((u) => visit(browser, server, u)));
  for (const u of users) {
    await u.page.getByTestId('channel-item').first().click();
    await until('the channel', () => u.log.some((l) => l === 'Joined channel via WebSocket: ' + channel.id));
  }
  return { server, channel, ada: users[0].page, bob: users[1].page, users };
}
