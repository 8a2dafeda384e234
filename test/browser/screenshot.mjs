// Takes the README's screenshot, docs/img/page.png. With a directory as its argument, it also writes the main views
// there, at three sizes, light and dark: CHOWK_BIN=../../bin/chowk node screenshot.mjs /tmp/views
//
// The picture needs the fonts Roboto and Noto Color Emoji (Debian: fonts-roboto-unhinted, fonts-noto-color-emoji).
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, serve } from './harness.mjs';

const readmePicture = fileURLToPath(new URL('../../docs/img/page.png', import.meta.url));
const password = 'Correct-horse-7';

const people = {
  ana: ['Ana', 'Duarte'],
  ben: ['Ben', 'Okafor'],
  chloe: ['Chloé', 'Martin'],
  dev: ['Dev', 'Patel'],
};
const emailOf = (who) => `${who}@example.org`;

/** The messages of #deploys: minutes ago, author, text, and maybe its reactions and the message that it replies to. */
const conversation = [
  [52, 'dev', 'Hi all! **2.4** has been green on staging since yesterday. I would like to roll it out today.', {
    reactions: { '👍': ['chloe', 'ana'] },
  }],
  [47, 'ben', 'The migration took 40 seconds on a copy of production, so no maintenance window.'],
  [46, 'ben', 'One thing to watch: the first resume after the upgrade reads from the log, not from memory.'],
  [31, 'ana', `Thanks, I will keep an eye on it. This is what I am going to run:

\`\`\`sh
helm upgrade chowk deploy/chart --set image.tag=2.4.0 --atomic
kubectl rollout status deployment/chowk --timeout=5m
\`\`\``, {
    reactions: { '👀': ['dev'], '✅': ['ben', 'chloe'] },
  }],
  [12, 'dev', 'All pods are on 2.4. p99 is **18 ms**, down from 31 ms.', {
    reactions: { '🎉': ['ana', 'ben', 'chloe'], '🙏': ['ana'] },
  }],
  [9, 'chloe', 'And support has not noticed anything. The best kind of release.', { replyTo: 4 }],
  [7, 'ana', 'Then I will close the change. Dashboard: https://grafana.example.org/d/chowk'],
];

/** The other channels and direct messages, each with its last message. */
const channels = [
  { name: 'general', minutesAgo: 26, by: 'chloe', last: 'Lunch at 12:30?' },
  { name: 'design', minutesAgo: 95, by: 'chloe', last: 'New icons are up for review.', unread: true },
  { name: 'incidents', minutesAgo: 1500, by: 'ben', last: 'The post-mortem is published.' },
  { name: 'leads', minutesAgo: 2900, by: 'ana', last: 'Two interviews next week.', is_private: true },
];
const directs = [
  { who: 'ben', minutesAgo: 3, last: 'Do you have five minutes?', unread: true },
  { who: 'dev', minutesAgo: 180, last: 'Thanks for the review!' },
];

/** Signs everyone up and returns a function that calls the REST API as one of them. */
async function signUp(server) {
  const tokens = {};
  const ids = {};
  for (const [who, [first_name, last_name]] of Object.entries(people)) {
    const body = { email: emailOf(who), password, first_name, last_name };
    const { access_token, user } = await call(server, undefined, 'POST', '/auth/signup', body);
    tokens[who] = access_token;
    ids[who] = user.id;
  }
  return { ids, as: (who, method, path, body) => call(server, tokens[who], method, path, body) };
}

async function call(server, token, method, path, body) {
  const headers = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(`${server.url}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.status === 204 ? undefined : response.json();
}

/** Fills the server. Returns for each message and channel how many minutes ago it was (last) sent. */
async function fill({ ids, as }) {
  const ages = new Map();
  const send = async (channel, who, content, minutesAgo, parent_message_id) => {
    const m = await as(who, 'POST', `/channels/${channel}/messages`, { content, parent_message_id });
    ages.set(m.id, minutesAgo).set(channel, minutesAgo);
    return m;
  };
  const read = (channel, who) => as(who, 'POST', `/channels/${channel}/read`);

  for (const { name, is_private = false, by, last, minutesAgo, unread } of channels) {
    const member_ids = Object.values(ids);
    const c = await as('ana', 'POST', '/channels/', { name, is_private, member_ids });
    await send(c.id, by, last, minutesAgo);
    if (!unread) await read(c.id, 'ana');
  }
  for (const { who, last, minutesAgo, unread } of directs) {
    const c = await as('ana', 'POST', '/channels/direct', { user_id: ids[who] });
    await send(c.id, who, last, minutesAgo);
    if (!unread) await read(c.id, 'ana');
  }
  const body = { name: 'deploys', topic: 'What is rolling out, and when', member_ids: Object.values(ids) };
  const deploys = await as('dev', 'POST', '/channels/', body);
  const sent = [];
  for (const [minutesAgo, who, text, { replyTo, reactions = {} } = {}] of conversation) {
    const m = await send(deploys.id, who, text, minutesAgo, sent[replyTo]?.id);
    sent.push(m);
    for (const [emoji, users] of Object.entries(reactions)) {
      for (const u of users) await as(u, 'POST', `/channels/${deploys.id}/messages/${m.id}/reactions`, { emoji });
    }
  }
  return ages;
}

/** Makes the page show messages as old as they should look. Everything was sent within a second. */
async function spreadTimes(context, ages) {
  const at = (id, iso) => (ages.has(id) ? new Date(Date.now() - ages.get(id) * 60_000).toISOString() : iso);
  await context.route(/\/api\/v1\/channels\//, async (route) => {
    const response = await route.fetch();
    const data = await response.json().catch(() => undefined);
    for (const x of Array.isArray(data) ? data : []) {
      if (x.id) Object.assign(x, { created_at: at(x.id, x.created_at), last_message_at: at(x.id, x.last_message_at) });
    }
    await route.fulfill({ response, ...(data && { json: data }) });
  });
}

/** Opens the page, logged in. */
async function open(browser, server, ages, options, who = 'ana') {
  const context = await browser.newContext({ locale: 'en-US', reducedMotion: 'reduce', bypassCSP: true, ...options });
  await spreadTimes(context, ages);
  const page = await context.newPage();
  await page.goto(`${server.url}/messages`);
  await page.getByTestId('login-email').fill(emailOf(who));
  await page.getByTestId('login-password').fill(password);
  await page.getByTestId('login-submit').click();
  await page.getByTestId('new-channel').waitFor({ state: 'attached' });
  await page.addStyleTag({ content: ":root { font-family: Roboto, sans-serif, 'Noto Color Emoji' }" });
  return page;
}

async function openConversation(page, name = 'deploys') {
  await page.getByTestId('channel-item').filter({ hasText: name }).click();
  await page.getByTestId('message').first().waitFor();
  await page.waitForLoadState('networkidle');
}

const sizes = {
  phone: { width: 390, height: 844 },
  laptop: { width: 1280, height: 800 },
  desktop: { width: 1920, height: 1080 },
};

/** The main views, each a function that brings the page there. */
const views = {
  welcome: async () => {},
  conversation: (page) => openConversation(page),
  details: async (page) => {
    await openConversation(page);
    await page.getByTestId('details-toggle').click();
  },
  edit: async (page) => {
    await openConversation(page);
    const own = page.getByTestId('message').last();
    await own.hover();
    const more = own.getByRole('button', { name: 'Message actions' });
    if (await more.isVisible()) await more.click();
    await own.getByTestId('edit').click();
  },
  delete: async (page) => {
    await openConversation(page);
    const own = page.getByTestId('message').last();
    await own.focus();
    await own.press('Delete');
  },
  newChannel: (page) => page.getByTestId('new-channel').click(),
  browse: (page) => page.getByTestId('browse').click(),
  newDirect: (page) => page.getByTestId('new-direct').click(),
  account: (page) => page.getByTitle('Your account').click(),
};

async function takeAll(browser, server, ages, dir) {
  mkdirSync(dir, { recursive: true });
  for (const [size, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      const touch = size === 'phone' ? { hasTouch: true, isMobile: true } : {};
      for (const [view, show] of Object.entries(views)) {
        const page = await open(browser, server, ages, { viewport, colorScheme, ...touch });
        await show(page);
        await page.waitForTimeout(300); // the lookup of a dialog waits for the user to pause
        await page.screenshot({ path: join(dir, `${view}-${size}-${colorScheme}.png`) });
        await page.context().close();
      }
    }
  }
}

const server = await serve('--auth.signup=open');
const browser = await launch();
try {
  const ages = await fill(await signUp(server));
  const page = await open(browser, server, ages, { viewport: sizes.laptop, colorScheme: 'light' });
  const [ben, dev] = await Promise.all(['ben', 'dev'].map((who) => open(browser, server, ages, {}, who)));
  await Promise.all([page, ben, dev].map((p) => openConversation(p)));
  await page.getByTestId('seen-by').filter({ hasText: 'Ben' }).filter({ hasText: 'Dev' }).waitFor();
  await page.mouse.move(0, 0);
  await page.screenshot({ path: readmePicture });
  console.log(`wrote ${readmePicture}`);
  if (process.argv[2]) await takeAll(browser, server, ages, process.argv[2]);
} finally {
  await browser.close();
  await server.stop();
}
