import { expect, test } from 'vitest';
import { parse, plain, safeLink, type Node } from './markdown.ts';

const childrenOf = (n: Node): Node[] => ('children' in n ? n.children : []);
const kinds = (nodes: Node[]): string[] => nodes.flatMap((n) => [n.kind, ...kinds(childrenOf(n))]);
const textOf = (nodes: Node[]): string =>
  nodes.map((n) => ('text' in n ? n.text : n.kind === 'break' ? '\n' : textOf(childrenOf(n)))).join('');

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
])('%s is shown as written and is not a link', (text) => {
  expect(kinds(parse(text))).not.toContain('link');
  expect(textOf(parse(text))).toBe(text);
});

test.each(['http://example.org/', 'https://example.org/a?b=c', 'mailto:a@example.org'])('%s is a link', (href) => {
  expect(safeLink(href)).toBe(href);
  expect(kinds(parse(`see [this](${href})`))).toContain('link');
});

test('bare addresses become links', () => {
  expect(kinds(parse('see https://example.org/x for more'))).toContain('link');
});

test('common Markdown is formatted', () => {
  const inline = parse('**a** *b* ~~c~~ `d`');
  expect(kinds(inline)).toEqual(expect.arrayContaining(['strong', 'em', 'del', 'code']));
  const block = parse('> q\n\n- one\n- two\n\n```js\nx < 1\n```');
  expect(kinds(block)).toEqual(expect.arrayContaining(['quote', 'list', 'item', 'pre']));
  expect(kinds(parse('one\ntwo'))).toContain('break');
});

test('an excerpt has no formatting', () => {
  expect(plain('# One\n\n**two** `three`\n- four\n- [five](https://x.org)')).toBe('One two three four five');
});

test('hostile input parses quickly', () => {
  const start = performance.now();
  const tokens = ['*'.repeat(8000), '['.repeat(8000), '>'.repeat(8000), '`a'.repeat(4000), '- '.repeat(4000)];
  for (const text of [...tokens, '<'.repeat(16000)]) parse(text);
  expect(performance.now() - start).toBeLessThan(3000);
});

test('deeply nested text is shown unformatted', () => {
  const text = '>'.repeat(500) + 'x';
  expect(kinds(parse(text))).toEqual(['paragraph', 'text']);
});
