import type { LogEvent, Rest, ServerEvent } from '@chowk/client';
import { createContext } from 'svelte';
import { messageOf } from '../../lib/errors.ts';
import { toasts } from '../../lib/toasts.svelte.ts';
import * as timeline from './timeline.ts';
import { emptyTimeline, type Timeline } from './timeline.ts';
import { includes, keyOf, loadPage, type View } from './view.ts';

/** The messages of the views that were opened. */
export class Timelines {
  private all = $state.raw<Readonly<Record<string, Timeline>>>({});
  private errors = $state.raw<Readonly<Record<string, string>>>({});
  private readonly views = new Map<string, View>();
  /** Entries that arrived while a view was loading, whose response may be older. */
  private readonly meanwhile = new Map<string, LogEvent[]>();
  private loadingOlder = false;

  constructor(private readonly rest: Rest) {}

  of(view: View): Timeline {
    return this.all[keyOf(view)] ?? emptyTimeline;
  }

  /** Returns why a view could not be loaded, or an empty string. */
  error(view: View): string {
    return this.errors[keyOf(view)] ?? '';
  }

  update(view: View, f: (t: Timeline) => Timeline): void {
    const key = keyOf(view);
    this.views.set(key, view);
    this.all = { ...this.all, [key]: f(this.of(view)) };
  }

  apply(e: ServerEvent): void {
    if (!('seq' in e)) return;
    for (const [key, view] of this.views) {
      if (!includes(view, e)) continue;
      this.meanwhile.get(key)?.push(e);
      if (e.type === 'channel_left') this.forget(key);
      else if (this.of(view).loaded) this.update(view, (t) => timeline.apply(t, e));
    }
  }

  private forget(key: string): void {
    const { [key]: _, ...rest } = this.all;
    this.all = rest;
    this.views.delete(key);
  }

  trim(view: View): void {
    if (this.of(view).items.length > timeline.maxKept) this.update(view, timeline.trim);
  }

  /** Loads a view, unless it is loaded. */
  load = (view: View): Promise<void> => (this.of(view).loaded ? Promise.resolve() : this.fetch(view));

  /** Reloads every loaded view of a channel. */
  reload(channel: string): void {
    for (const v of this.views.values()) if (v.channel === channel && this.of(v).loaded) void this.fetch(v);
  }

  private async fetch(view: View): Promise<void> {
    const key = keyOf(view);
    if (this.meanwhile.has(key)) return;
    const meanwhile: LogEvent[] = [];
    this.meanwhile.set(key, meanwhile);
    this.views.set(key, view);
    this.errors = { ...this.errors, [key]: '' };
    try {
      const page = await loadPage(this.rest, view, timeline.pageSize);
      this.update(view, (t) => meanwhile.reduce(timeline.apply, timeline.reload(t, page)));
    } catch (e) {
      this.errors = { ...this.errors, [key]: messageOf(e) };
    }
    this.meanwhile.delete(key);
  }

  async loadOlder(view: View): Promise<void> {
    const t = this.of(view);
    const first = t.items[0];
    if (!t.loaded || !t.hasOlder || first?.delivery !== 'sent' || this.loadingOlder) return;
    this.loadingOlder = true;
    try {
      const page = await loadPage(this.rest, view, timeline.pageSize, first.id);
      this.update(view, (now) => timeline.addPage(now, page));
    } catch (e) {
      toasts.error(e);
    }
    this.loadingOlder = false;
  }
}

export const [useTimelines, provideTimelines] = createContext<Timelines>();
