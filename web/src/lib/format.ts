const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'short' });
const short = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

export const timeOf = (iso: string): string => clock.format(new Date(iso));
export const fullTimeOf = (iso: string): string => full.format(new Date(iso));

const midnight = (d: Date): number => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();

/** Whole days between two moments by the calendar, however long a day was. */
function daysAgo(then: Date, now: Date): number {
  return Math.round((midnight(now) - midnight(then)) / 86_400_000);
}

export const sameDay = (a: string, b: string): boolean => midnight(new Date(a)) === midnight(new Date(b));

export function dayOf(iso: string, now = new Date()): string {
  const days = daysAgo(new Date(iso), now);
  return days === 0 ? 'Today' : days === 1 ? 'Yesterday' : longDay.format(new Date(iso));
}

/** When something was, as short as a list allows. */
export function agoOf(iso: string, now = new Date()): string {
  const then = new Date(iso);
  const days = daysAgo(then, now);
  return days === 0 ? clock.format(then) : days < 7 ? weekday.format(then) : short.format(then);
}

export function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const first = [...(words[0] ?? '?')][0] ?? '?';
  const last = words.length > 1 ? ([...words[words.length - 1]!][0] ?? '') : '';
  return (first + last).toUpperCase();
}

/** One of eight colours, always the same for one id. */
export function hueOf(id: string): number {
  let h = 0x811c9dc5;
  for (const c of id) h = Math.imul(h ^ c.codePointAt(0)!, 0x01000193);
  return ((h >>> 13) ^ h) & 7;
}

/** "ada", "ada and bob", "ada, bob and 2 others". */
export function listOf(names: string[], most = 2): string {
  if (names.length <= most) return names.join(' and ');
  const rest = names.length - most;
  return `${names.slice(0, most).join(', ')} and ${rest} other${rest > 1 ? 's' : ''}`;
}
