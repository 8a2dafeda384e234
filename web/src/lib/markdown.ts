import { Lexer, type Token, type Tokens } from 'marked';

/**
 * What a message may consist of. It is shown by making elements and text nodes, never
 * by parsing HTML: what people write cannot become markup.
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

/** A link that is safe to follow, or undefined. Relative ones are of no use in a message. */
export function safeLink(href: string): string | undefined {
  try {
    const url = new URL(href);
    return schemes.has(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

const options = { gfm: true, breaks: true };

/** Longer texts are shown as they are: nobody formats them, and parsing takes its time. */
const maxParsed = 8_000;

export function parse(text: string): Node[] {
  if (text.length > maxParsed) return [{ kind: 'paragraph', children: lines(text) }];
  try {
    const nodes = blocks(new Lexer(options).lex(text));
    if (!deeper(nodes, maxDepth)) return nodes;
  } catch {
    // As it is, then.
  }
  return [{ kind: 'paragraph', children: lines(text) }];
}

/** A thousand quotes within each other are no quotation. */
const maxDepth = 16;

function deeper(nodes: Node[], than: number): boolean {
  return than < 0 || nodes.some((n) => 'children' in n && deeper(n.children, than - 1));
}

function lines(text: string): Node[] {
  return text.split('\n').flatMap((line, i): Node[] => {
    const node: Node = { kind: 'text', text: line };
    return i ? [{ kind: 'break' }, node] : [node];
  });
}

/** What is left of a message in one line, without its form. */
export function plain(text: string): string {
  const flat = (nodes: Node[]): string =>
    nodes.map((n) => ('text' in n ? n.text : 'children' in n ? flat(n.children) + (inBlock.has(n.kind) ? ' ' : '') : ' ')).join('');
  return flat(parse(text)).replace(/\s+/g, ' ').trim();
}

const inBlock = new Set<Node['kind']>(['paragraph', 'heading', 'quote', 'item', 'list']);

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
      const items = list.items.map((item): Node => ({ kind: 'item', children: task(item).concat(blocks(item.tokens)) }));
      return [{ kind: 'list', ordered: list.ordered, start: Number(list.start) || 1, children: items }];
    }
    case 'text':
      return inlines(token.tokens, token.raw);
    default:
      return [{ kind: 'paragraph', children: lines(token.raw.replace(/\n+$/, '')) }];
  }
}

const task = (item: Tokens.ListItem): Node[] => (item.task ? [{ kind: 'text', text: item.checked ? '☑ ' : '☐ ' }] : []);

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
      return href ? [{ kind: 'link', href, children: inlines(token.tokens, token.raw) }] : [{ kind: 'text', text: token.raw }];
    }
    case 'checkbox':
      return [];
    default: // pictures would tell a stranger who reads what, and HTML is just text here
      return lines(token.raw);
  }
}
