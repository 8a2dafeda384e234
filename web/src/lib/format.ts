const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'short' });
const dayMonth = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

export const timeOf = (iso: string): string => clock.format(new Date(iso));
export const fullTimeOf = (iso: string): string => full.format(new Date(iso));

const midnight = (d: Date): number => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();

/** Returns the number of calendar days between two times. Rounds, because a day may have 23 or 25 hours. */
function daysBetween(then: Date, now: Date): number {
  return Math.round((midnight(now) - midnight(then)) / 86_400_000);
}

export const sameDay = (a: string, b: string): boolean => midnight(new Date(a)) === midnight(new Date(b));

/** Returns the name of a day, for the rule above its messages. */
export function dayOf(iso: string, now = new Date()): string {
  const days = daysBetween(new Date(iso), now);
  return days === 0 ? 'Today' : days === 1 ? 'Yesterday' : longDay.format(new Date(iso));
}

/** Returns when something happened, in a form short enough for a list. */
export function shortTimeOf(iso: string, now = new Date()): string {
  const then = new Date(iso);
  const days = daysBetween(then, now);
  return days === 0 ? clock.format(then) : days < 7 ? weekday.format(then) : dayMonth.format(then);
}

/** Returns the initials of the first and the last word of a name. */
export function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const first = [...(words[0] ?? '?')][0] ?? '?';
  const last = words.length > 1 ? ([...words[words.length - 1]!][0] ?? '') : '';
  return (first + last).toUpperCase();
}

/** Returns one of 24 hues in degrees, always the same for one id. */
export function hueOf(id: string): number {
  let h = 0x811c9dc5;
  for (const c of id) h = Math.imul(h ^ c.codePointAt(0)!, 0x01000193);
  return ((((h >>> 13) ^ h) >>> 0) % 24) * 15;
}

/** Returns "ada", "ada and bob" or "ada, bob and 2 others". */
export function listOf(names: string[], max = 2): string {
  if (names.length <= max) return names.length < 3 ? names.join(' and ') : joinAll(names);
  return `${names.slice(0, max).join(', ')} and ${plural(names.length - max, 'other')}`;
}

const joinAll = (names: string[]): string => `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;

/** Returns "1 member" or "2 members". */
export const plural = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;

/** Returns a count that fits into a badge. */
export const badge = (n: number): string => (n > 99 ? '99+' : String(n));
