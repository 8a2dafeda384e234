import type { LogEvent, Message, Rest } from '@chowk/client';

/**
 * A list of messages that the page can show. The stores of messages are keyed by it. A new kind, such as a thread or
 * the results of a search, is another member of this union and another line in kinds.
 */
export type View = ChannelView;

export interface ChannelView {
  readonly kind: 'channel';
  readonly channel: string;
}

interface Kind<V extends View> {
  /** Identifies the view among those of its kind. */
  id(v: V): string;
  /** Reports whether the view shows what an entry is about. */
  includes(v: V, e: LogEvent): boolean;
  /** Loads a page of messages, newest first. before is the id of the oldest message that is loaded. */
  page(rest: Rest, v: V, limit: number, before?: string): Promise<Message[]>;
}

const kinds: { [K in View['kind']]: Kind<Extract<View, { kind: K }>> } = {
  channel: {
    id: (v) => v.channel,
    includes: (v, e) => e.channel_id === v.channel,
    page: (rest, v, limit, before) => rest.messages(v.channel, { limit, ...(before && { before_id: before }) }),
  },
};

export const channelView = (channel: string): View => ({ kind: 'channel', channel });

/** Returns the key under which stores keep what belongs to a view. */
export const keyOf = (v: View): string => `${v.kind}:${kinds[v.kind].id(v)}`;

export const includes = (v: View, e: LogEvent): boolean => kinds[v.kind].includes(v, e);

export const loadPage = (rest: Rest, v: View, limit: number, before?: string): Promise<Message[]> =>
  kinds[v.kind].page(rest, v, limit, before);
