// The load test that the report of the incident recommended, but that was never run: 40 tabs of /messages, 40 users in
// one channel, and a pool of 10 + 20 connections.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, rest, send, serve, sql, text, until, visit } from './harness.mjs';

const tabs = 40;

test('40 tabs in one channel over a pool of 10 + 20', async (t) => {
  const database = process.env.CHOWK_PG_URL;
  assert.ok(database, 'CHOWK_PG_URL is not set: run make test-browser');
  // 40 tabs keep a small machine busy for seconds. No wait for a connection may time out because of that: the test is
  // about whether the pool has enough connections.
  const pool = ['--pool.size=10', '--pool.overflow=20', '--pool.request-timeout=10s', '--db.hold-hard=20s'];
  const server = await serve('--auth=none', `--database-url=${database}`, ...pool);
  t.after(() => server.stop());
  const browser = await launch();
  t.after(() => browser.close());

  const count = () => sql(database, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chowk'");
  let max = 0;
  const sampling = setInterval(() => (max = Math.max(max, count())), 100);
  t.after(() => clearInterval(sampling));

  const names = Array.from({ length: tabs }, (_, i) => `user-${i}`);
  for (const name of names) await rest(server, name, 'GET', '/channels/');
  const body = { name: 'everyone', member_ids: names.slice(1) };
  const channel = await rest(server, names[0], 'POST', '/channels/', body);

  const users = [];
  for (let i = 0; i < tabs; i += 8) {
    users.push(...(await Promise.all(names.slice(i, i + 8).map((name) => visit(browser, server, name)))));
  }
  await Promise.all(
    users.map(async (u) => {
      await u.page.getByTestId('channel-item').first().click({ timeout: 60_000 });
      const line = `Joined channel via WebSocket: ${channel.id}`;
      await until(`${u.name} to join`, () => u.log.some((l) => l.startsWith(line)));
    }),
  );
  assert.ok(users.every((u) => u.log.includes('WebSocket connected')), 'a tab did not connect');

  await send(users[0].page, 'one message for all');
  await Promise.all(users.map((u) => text(u.page, 'one message for all').waitFor({ timeout: 60_000 })));

  clearInterval(sampling);
  max = Math.max(max, count());
  // Connections beyond the pool's size are closed when they have been idle.
  const idle = await until('the surplus connections to be closed', () => {
    const now = count();
    return now <= 10 && now;
  });
  console.log(`connections to PostgreSQL: at most ${max} while 40 tabs connected and chatted, ${idle} while idle`);
  assert.ok(max <= 30, `${max} connections`);
  assert.ok(idle <= 10, `${idle} connections while idle`);
  for (const u of users) {
    assert.deepEqual(u.errors, [], `errors in the tab of ${u.name}`);
    assert.equal(await u.page.getByTestId('toast').count(), 0, `${u.name} sees an error`);
    assert.equal(await u.page.getByTestId('banner').count(), 0, `${u.name} sees a banner`);
  }
});
