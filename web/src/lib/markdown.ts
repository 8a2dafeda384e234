import { Lexer, type Token, type Tokens } from 'marked';

/**
 * A part of a message. Components render it as elements and text nodes and never parse HTML, so that nothing people
 * write can become markup.
 */
export type Node =
  | { kind: 'text'; text: string }
  | { kind: 'break' | 'rule' }
  | { kind: 'code'; text: string }
  | { kind: 'pre'; text: string }
  | { kind: 'link'; href: string; children: Node[] }
  | { kind: 'list'; ordered: boolean; start: number; children: Node[] }
  | { kind: 'strong' | 'em' | 'del' | 'paragraph' | 'heading' | 'quote' | 'item'; children: Node[] };

const schemes = new Set(['http:', 'https:', 'mailto:']);

/** Returns the normalized address of a link, or undefined if its scheme is not safe to follow or it is relative. */
export function safeLink(href: string): string | undefined {
  try {
    const url = new URL(href);
    return schemes.has(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

const options = { gfm: true, breaks: true };

/** Longer texts are shown unformatted, because parsing them takes too long. */
const maxParsed = 8_000;

/** Parses Markdown. A text that is too long, too deeply nested or malformed becomes one plain paragraph. */
export function parse(text: string): Node[] {
  if (text.length > maxParsed) return [{ kind: 'paragraph', children: lines(text) }];
  try {
    const nodes = blocks(new Lexer(options).lex(text));
    if (!deeperThan(maxDepth, nodes)) return nodes;
  } catch {
    // Shown unformatted.
  }
  return [{ kind: 'paragraph', children: lines(text) }];
}

const maxDepth = 16;

/** Reports whether nodes are nested more than max levels deep. */
function deeperThan(max: number, nodes: Node[]): boolean {
  return max < 0 || nodes.some((n) => 'children' in n && deeperThan(max - 1, n.children));
}

function lines(text: string): Node[] {
  return text.split('\n').flatMap((line, i): Node[] => {
    const node: Node = { kind: 'text', text: line };
    return i ? [{ kind: 'break' }, node] : [node];
  });
}

/** Returns the text of a message in one line, without formatting. */
export function plain(text: string): string {
  return parse(text).map(flat).join('').replace(/\s+/g, ' ').trim();
}

function flat(n: Node): string {
  if ('text' in n) return n.text;
  if (!('children' in n)) return ' ';
  return n.children.map(flat).join('') + (blockKinds.has(n.kind) ? ' ' : '');
}

const blockKinds = new Set<Node['kind']>(['paragraph', 'heading', 'quote', 'item', 'list']);

const blocks = (tokens: Token[]): Node[] => tokens.flatMap(block);

function block(token: Token): Node[] {
  switch (token.type) {
    case 'space':
    case 'def':
      return token.type === 'def' ? [{ kind: 'paragraph', children: lines(token.raw.trim()) }] : [];
    case 'paragraph':
      return [{ kind: 'paragraph', children: inlines(token.tokens, token.raw) }];
    case 'heading':
      return [{ kind: 'heading', children: inlines(token.tokens, token.raw) }];
    case 'code':
      return [{ kind: 'pre', text: (token as Tokens.Code).text }];
    case 'blockquote':
      return [{ kind: 'quote', children: blocks(token.tokens ?? []) }];
    case 'hr':
      return [{ kind: 'rule' }];
    case 'list': {
      const list = token as Tokens.List;
      const items = list.items.map(listItem);
      return [{ kind: 'list', ordered: list.ordered, start: Number(list.start) || 1, children: items }];
    }
    case 'text':
      return inlines(token.tokens, token.raw);
    default:
      return [{ kind: 'paragraph', children: lines(token.raw.replace(/\n+$/, '')) }];
  }
}

function listItem(item: Tokens.ListItem): Node {
  const box: Node[] = item.task ? [{ kind: 'text', text: item.checked ? '☑ ' : '☐ ' }] : [];
  return { kind: 'item', children: [...box, ...blocks(item.tokens)] };
}

function inlines(tokens: Token[] | undefined, raw: string): Node[] {
  return tokens ? tokens.flatMap(inline) : lines(raw);
}

function inline(token: Token): Node[] {
  switch (token.type) {
    case 'escape':
      return [{ kind: 'text', text: token.text }];
    case 'text':
      return token.tokens ? inlines(token.tokens, token.raw) : lines(token.raw);
    case 'codespan':
      return [{ kind: 'code', text: token.text }];
    case 'br':
      return [{ kind: 'break' }];
    case 'strong':
    case 'em':
    case 'del':
      return [{ kind: token.type, children: inlines(token.tokens, token.raw) }];
    case 'link': {
      const href = safeLink(token.href);
      const text: Node = { kind: 'text', text: token.raw };
      return [href ? { kind: 'link', href, children: inlines(token.tokens, token.raw) } : text];
    }
    case 'checkbox':
      return [];
    default: // Loading a picture would tell its server who reads the message. HTML is shown as text.
      return lines(token.raw);
  }
}
