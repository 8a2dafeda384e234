// What readers see while messages arrive, change and are acted on.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, message, rest, send, text, two, until, visit } from './harness.mjs';

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** Fills a channel with more messages than fit on a screen. */
async function fill(server, channel) {
  for (let i = 1; i <= 30; i++) {
    const user = i % 2 ? 'ada' : 'bob';
    await rest(server, user, 'POST', `/channels/${channel.id}/messages`, { content: `message ${i}` });
  }
}

const isInView = (locator) =>
  locator.evaluate((el) => {
    const r = el.getBoundingClientRect();
    const box = document.querySelector('[aria-label="Messages"]').getBoundingClientRect();
    return r.top >= box.top && r.bottom <= box.bottom;
  });

test('the timeline follows its end when the last message grows', async (t) => {
  const { server, channel, ada, bob } = await two(browser, t);
  await fill(server, channel);
  await send(ada, 'the last one');
  await text(bob, 'the last one').waitFor();

  const own = message(ada, 'the last one');
  await own.hover();
  await own.getByTestId('edit').click();
  const buttons = ada.getByRole('button', { name: 'Cancel', exact: true });
  await buttons.waitFor();
  await until('the editor in view', () => isInView(buttons), 5_000);
  await buttons.click();

  const theirs = message(bob, 'the last one');
  await theirs.hover();
  await theirs.getByTestId('react').click();
  await bob.getByRole('button', { name: 'React with 🎉' }).click();
  const reaction = ada.getByTestId('reaction');
  await reaction.waitFor();
  await until('the reaction in view', () => isInView(reaction), 5_000);
  await until('the receipt in view', () => isInView(ada.getByTestId('seen-by')), 5_000);
  assert.equal(await ada.getByRole('button', { name: 'Jump to latest' }).count(), 0);
});

test('keys act on the message that has the focus', async (t) => {
  const { ada, bob } = await two(browser, t);
  for (const s of ['first', 'second', 'third']) await send(ada, s);
  await text(bob, 'third').waitFor();

  // One Tab stop for all messages, and arrow keys between them.
  assert.equal(await ada.locator('[data-testid="message"][tabindex="0"]').count(), 1);
  await message(ada, 'third').focus();
  await ada.keyboard.press('ArrowUp');
  await until('the focus', () => message(ada, 'second').evaluate((el) => el === document.activeElement));

  await ada.keyboard.press('e');
  const editor = ada.getByLabel('Edit message');
  await editor.fill('second, edited');
  await editor.press('Enter');
  await text(bob, 'second, edited').waitFor();
  await until('the focus to return', () => message(ada, 'second').evaluate((el) => el === document.activeElement));

  await ada.keyboard.press('Delete');
  await ada.keyboard.press('Tab');
  await ada.keyboard.press('Enter');
  await until('the deletion', async () => (await text(bob, 'second, edited').count()) === 0);

  await message(ada, 'first').focus();
  await ada.keyboard.press('r');
  await ada.getByText('Replying to ada').waitFor();
  await ada.keyboard.type('a reply');
  await ada.keyboard.press('Enter');
  await message(bob, 'a reply').getByText('ada: first').waitFor();

  // Up in the empty composer edits the last message.
  await ada.getByTestId('composer').press('ArrowUp');
  await editor.fill('a better reply');
  await editor.press('Enter');
  await text(bob, 'a better reply').waitFor();
});

test('a reply that was begun is kept between channels', async (t) => {
  const { server, ada, bob } = await two(browser, t);
  const coffee = await rest(server, 'ada', 'POST', '/channels/', { name: 'coffee', member_ids: ['bob'] });
  await send(bob, 'a question');
  await text(ada, 'a question').waitFor();
  await message(ada, 'a question').focus();
  await ada.keyboard.press('r');
  await ada.getByTestId('composer').fill('an answer');
  await ada.getByTestId('channel-item').filter({ hasText: 'coffee' }).click();
  await ada.waitForURL((url) => url.hash === `#/c/${coffee.id}`);
  await until('an empty composer', async () => (await ada.getByTestId('composer').inputValue()) === '');
  await ada.goBack();
  await ada.getByText('Replying to bob').waitFor();
  await ada.getByTestId('composer').press('Enter');
  await message(bob, 'an answer').getByText('bob: a question').waitFor();
});

test('the line above new messages shows what was unread, until the user answers', async (t) => {
  const { server, channel, ada, bob } = await two(browser, t);
  await send(ada, 'seen');
  await text(bob, 'seen').waitFor();
  await send(ada, 'while watching');
  await text(bob, 'while watching').waitFor();
  const line = bob.getByText('New', { exact: true });
  assert.equal(await line.count(), 0, 'a message that arrives while one watches is not new');

  await until('the receipt', async () => {
    const all = await rest(server, 'bob', 'GET', '/channels/');
    return all.find((c) => c.id === channel.id).unread_count === 0;
  });
  await bob.evaluate(() => (location.hash = '#/'));
  await send(ada, 'unseen');
  await bob.getByTestId('channel-item').first().filter({ hasText: '1' }).waitFor();
  await bob.getByTestId('channel-item').first().click();
  await line.waitFor();
  await send(bob, 'an answer');
  await until('the line to go', async () => (await line.count()) === 0);
});

test('a link leads to its channel, and offers to join a public one', async (t) => {
  const { server } = await two(browser, t);
  const open = await rest(server, 'ada', 'POST', '/channels/', { name: 'open', topic: 'For everyone' });
  const secret = await rest(server, 'ada', 'POST', '/channels/', { name: 'secret', is_private: true });
  await rest(server, 'ada', 'POST', `/channels/${open.id}/messages`, { content: 'welcome' });
  const eve = await visit(browser, server, 'eve');
  await eve.page.getByRole('heading', { name: 'Welcome, eve' }).waitFor();

  await eve.page.goto(`${server.url}/messages#/c/${secret.id}`);
  await eve.page.getByTestId('toast').filter({ hasText: "You don't have access" }).waitFor();
  await eve.page.goto(`${server.url}/messages#/c/${open.id}`);
  await eve.page.getByText('For everyone').waitFor();
  await eve.page.getByTestId('join-channel').click();
  await text(eve.page, 'welcome').waitFor();
  await send(eve.page, 'hello');
  await until('the message to be sent', async () => (await eve.page.getByText('Sending…').count()) === 0);

  await eve.page.reload();
  await text(eve.page, 'hello').waitFor();
  assert.equal(await eve.page.title(), '#open · chowk');
});

test('a direct conversation has the name of the other user', async (t) => {
  const { server } = await two(browser, t);
  // The name of the channel, DM-a-b-c-d, does not tell which users it is of.
  for (const u of ['a-b', 'c-d']) await rest(server, u, 'GET', '/channels/');
  const direct = await rest(server, 'a-b', 'POST', '/channels/direct', { user_id: 'c-d' });
  await rest(server, 'a-b', 'POST', `/channels/${direct.id}/messages`, { content: 'psst' });
  for (const [user, peer] of [['a-b', 'c-d'], ['c-d', 'a-b']]) {
    const { page } = await visit(browser, server, user);
    await page.getByTestId('channel-item').getByText(peer, { exact: true }).click();
    await page.getByRole('heading', { name: peer, exact: true }).waitFor();
    await text(page, 'psst').waitFor();
    await page.getByText(`This is the beginning of your conversation with ${peer}.`).waitFor();
  }
});
