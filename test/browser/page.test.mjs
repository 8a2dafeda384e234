import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, message, rest, send, serve, text, two, until, visit } from './harness.mjs';

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

test('two people talk, edit, react and delete (D-11, D-20, D-22, D-34, D-39, D-43)', async (t) => {
  const { ada, bob, users } = await two(browser, t);
  await send(ada, 'first');
  await text(bob, 'first').waitFor();
  await send(bob, 'second');
  await text(ada, 'second').waitFor();
  assert.equal(await text(ada, 'first').count(), 1, "the sender's own message is shown twice");
  const order = await ada.getByTestId('message-text').allInnerTexts();
  assert.deepEqual(order.map((s) => s.trim()), ['first', 'second'], 'oldest above, newest below');
  await message(bob, 'first').getByText('ada').first().waitFor();

  const own = message(ada, 'first');
  await own.hover();
  await own.getByTestId('edit').click();
  const editor = own.locator('textarea, input').first();
  await editor.fill('first, edited');
  await editor.press('Enter');
  await text(bob, 'first, edited').waitFor();

  const theirs = message(bob, 'first, edited');
  await theirs.hover();
  await theirs.getByTestId('react').click();
  await bob.getByRole('button', { name: /🎉/ }).first().click();
  await ada.getByTestId('reaction').filter({ hasText: '🎉' }).waitFor();

  await message(ada, 'first, edited').hover();
  await message(ada, 'first, edited').getByTestId('delete').click();
  await ada.getByTestId('confirm-delete').click();
  await until('the deletion', async () => (await text(bob, 'first, edited').count()) === 0);
  for (const u of users) assert.deepEqual(u.errors, []);
});

test('typing is seen, and unread messages are counted', async (t) => {
  const { server, channel, ada, bob } = await two(browser, t);
  await ada.getByTestId('composer').pressSequentially('hel');
  await bob.getByTestId('typing').filter({ hasText: 'ada' }).waitFor();
  const other = await rest(server, 'ada', 'POST', '/channels/', { name: 'coffee', member_ids: ['bob'] });
  await rest(server, 'ada', 'POST', `/channels/${other.id}/messages`, { content: 'unread' });
  await bob.getByTestId('channel-item').filter({ hasText: 'coffee' }).filter({ hasText: '1' }).waitFor();
  await bob.getByTestId('channel-item').filter({ hasText: 'coffee' }).click();
  await text(bob, 'unread').waitFor();
  await until('the receipt', async () => {
    const all = await rest(server, 'bob', 'GET', '/channels/');
    return all.find((c) => c.id === other.id).unread_count === 0;
  });
  assert.ok(channel.id);
});

test('a restart of the server loses nothing (D-15, D-64), and one tab has one socket (D-02)', async (t) => {
  const sockets = { count: 0 };
  let server = await serve('--auth=none');
  t.after(() => server.stop().catch(() => {}));
  for (const u of ['ada', 'bob']) await rest(server, u, 'GET', '/channels/');
  const channel = await rest(server, 'ada', 'POST', '/channels/', { name: 'tea', member_ids: ['bob'] });
  const ada = await visit(browser, server, 'ada', { sockets });
  await ada.page.getByTestId('channel-item').first().click();
  await until('the channel', () => ada.log.some((l) => l.startsWith('Joined channel')));
  assert.equal(sockets.count, 1, 'one tab, one socket');

  const address = new URL(server.url).host;
  const data = server.dir;
  await server.kill();
  await ada.page.getByTestId('banner').waitFor();
  await send(ada.page, 'sent while away');
  server = await serve('--auth=none', `--listen=${address}`, `--data-dir=${data}`);
  await rest(server, 'bob', 'POST', `/channels/${channel.id}/messages`, { content: 'missed' });
  await text(ada.page, 'missed').waitFor({ timeout: 60_000 });
  await until('the message sent while away', async () => {
    const page = await rest(server, 'bob', 'GET', `/channels/${channel.id}/messages`);
    return page.filter((m) => m.content === 'sent while away').length === 1;
  });
  assert.equal(await text(ada.page, 'missed').count(), 1);
  assert.equal(await text(ada.page, 'sent while away').count(), 1);
  assert.ok(sockets.count < 15, `${sockets.count} sockets were opened`);
});

test('what people write never runs as code', async (t) => {
  const { server, channel, ada, bob, users } = await two(browser, t);
  const corpus = [
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '"><svg onload=alert(1)>',
    '[x](javascript:alert(1))',
    'javascript:alert(1)',
    '<iframe srcdoc="<script>alert(1)</script>">',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '{{constructor.constructor("alert(1)")()}}',
  ];
  const dangerous = 'img[src="x"], iframe, a[href^="javascript"], a[href^="data:"], [onerror], [onload]';
  for (const s of corpus) await rest(server, 'bob', 'POST', `/channels/${channel.id}/messages`, { content: s });
  await rest(server, 'ada', 'PATCH', `/channels/${channel.id}`, { name: corpus[1], topic: corpus[0] });
  await until('all messages', async () => (await ada.getByTestId('message-text').count()) >= corpus.length);
  await bob.getByTestId('channel-item').filter({ hasText: 'onerror' }).waitFor();
  for (const page of [ada, bob]) {
    assert.equal(await page.locator(dangerous).count(), 0);
  }
  for (const u of users) assert.deepEqual(u.errors, []);
});

test('people sign up, log out and log in again', async (t) => {
  const server = await serve();
  t.after(() => server.stop());
  const { page, errors, context } = await visit(browser, server);
  await page.getByTestId('signup-toggle').click();
  await page.getByTestId('login-email').fill('ada@example.org');
  await page.getByTestId('login-password').fill('Correct-horse-7');
  for (const [label, value] of [[/first name/i, 'Ada'], [/last name/i, 'Lovelace']]) {
    const field = page.getByLabel(label);
    if (await field.count()) await field.first().fill(value);
  }
  await page.getByTestId('login-submit').click();
  await page.getByTestId('new-channel').waitFor();
  const cookie = (await context.cookies()).find((c) => c.name === 'access_token');
  assert.ok(cookie?.httpOnly, 'scripts must not be able to read the token');
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes('chowk_')), false);
  await page.getByTestId('new-channel').click();
  await page.getByTestId('channel-name').fill('my first channel');
  await page.getByTestId('create-channel').click();
  await page.getByTestId('channel-item').filter({ hasText: 'my first channel' }).waitFor();
  await page.getByTestId('logout').click();
  await page.getByTestId('login-email').fill('ada@example.org');
  await page.getByTestId('login-password').fill('Correct-horse-7');
  await page.getByTestId('login-submit').click();
  await page.getByTestId('channel-item').filter({ hasText: 'my first channel' }).waitFor();
  assert.deepEqual(errors.filter((e) => !e.includes('401')), []);
});
