import { expect, test } from 'vitest';
import { parse, plain, safeLink, type Node } from './markdown.ts';

const kinds = (nodes: Node[]): string[] => nodes.flatMap((n) => [n.kind, ...('children' in n ? kinds(n.children) : [])]);
const textOf = (nodes: Node[]): string =>
  nodes.map((n) => ('children' in n ? textOf(n.children) : 'text' in n ? n.text : n.kind === 'break' ? '\n' : '')).join('');

test.each([
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '"><svg onload=alert(1)>',
  '<!-- a comment -->',
  '![a picture](https://example.org/x.png)',
  '[x](javascript:alert(1))',
  '[x](JaVaScRiPt:alert(1))',
  '[x](data:text/html,x)',
  '[x](//example.org)',
  '<javascript:alert(1)>',
  'javascript:alert(1)',
  '[ref]: https://example.org',
  '| a | b |\n|---|---|\n| 1 | 2 |',
  'AT&T &lt; &amp;',
])('%s is shown as it was written, and is no link', (text) => {
  expect(kinds(parse(text))).not.toContain('link');
  expect(textOf(parse(text))).toBe(text);
});

test.each(['http://example.org/', 'https://example.org/a?b=c', 'mailto:a@example.org'])('%s is a link', (href) => {
  expect(safeLink(href)).toBe(href);
  expect(kinds(parse(`see [this](${href})`))).toContain('link');
});

test('addresses become links by themselves', () => {
  expect(kinds(parse('see https://example.org/x for more'))).toContain('link');
});

test('what people use is formatted', () => {
  expect(kinds(parse('**a** *b* ~~c~~ `d`'))).toEqual(
    expect.arrayContaining(['strong', 'em', 'del', 'code']),
  );
  expect(kinds(parse('> q\n\n- one\n- two\n\n```js\nx < 1\n```'))).toEqual(expect.arrayContaining(['quote', 'list', 'item', 'pre']));
  expect(kinds(parse('one\ntwo'))).toContain('break');
});

test('an excerpt has the words without their form', () => {
  expect(plain('# One\n\n**two** `three`\n- four\n- [five](https://x.org)')).toBe('One two three four five');
});

test('a text that is made to be slow is not', () => {
  const start = performance.now();
  for (const text of ['*'.repeat(8000), '['.repeat(8000), '>'.repeat(8000), '`a'.repeat(4000), '<'.repeat(16000), '- '.repeat(4000)]) {
    parse(text);
  }
  expect(performance.now() - start).toBeLessThan(3000);
});

test('what is nested beyond reason is shown as it is', () => {
  const text = '>'.repeat(500) + 'x';
  expect(kinds(parse(text))).toEqual(['paragraph', 'text']);
});
