import { compact } from './compact.ts';
import type { ConnectionFrame, LogEvent } from './types.ts';

/**
 * What to do with an entry of a channel's log: deliver it, drop it because it was delivered before or will be sent
 * again, or request the missing entries before it.
 */
export type Verdict = 'deliver' | 'drop' | 'gap';

/** Maximum number of channels in the query of a handshake: about 25 characters each, in a URL of at most 16 KB. */
const maxInURL = 400;

/** The last seq that was delivered of each channel. */
export class Cursors {
  private epoch: string | undefined;
  private readonly seqs = new Map<string, number>();
  private readonly resuming = new Set<string>();
  private readonly reset = new Set<string>();

  get(channel: string): number | undefined {
    return this.seqs.get(channel);
  }

  set(channel: string, seq: number): void {
    this.seqs.set(channel, seq);
  }

  forget(channel: string): void {
    this.seqs.delete(channel);
    this.resuming.delete(channel);
  }

  /** Returns the compact resume for a handshake, or undefined if there is nothing to resume or too much for a URL. */
  handshake(): string | undefined {
    if (this.epoch === undefined || this.seqs.size === 0 || this.seqs.size > maxInURL) return undefined;
    return compact(this.epoch, this.seqs);
  }

  /** Reports, once, whether opened() returned the channel to be reloaded; the server reports it as well. */
  takeReset(channel: string): boolean {
    return this.reset.delete(channel);
  }

  /**
   * Processes the first frame of a socket. Returns the channels to resume because entries were missed, and the channels
   * to reload because their history is not the one that was seen. All others continue at their current seq.
   */
  opened(frame: ConnectionFrame): { resume: string[]; resync: string[] } {
    const sameHistory = this.epoch === undefined || this.epoch === frame.epoch;
    this.epoch = frame.epoch;
    this.resuming.clear();
    this.reset.clear();
    const before = new Map(this.seqs);
    this.seqs.clear();
    const resume: string[] = [];
    const resync: string[] = [];
    for (const { id, last_seq } of frame.channels) {
      const seen = before.get(id);
      if (seen === undefined || (sameHistory && seen === last_seq)) {
        this.seqs.set(id, last_seq);
      } else if (!sameHistory || seen > last_seq) {
        this.seqs.set(id, last_seq);
        resync.push(id);
        this.reset.add(id);
      } else {
        this.seqs.set(id, seen);
        if (!frame.resumed?.[id]) resume.push(id);
      }
    }
    return { resume, resync };
  }

  /** Returns the data of a resume of these channels, and marks them as resuming. */
  resume(channels: string[]): { epoch: string; cursors: Record<string, number> } {
    const cursors: Record<string, number> = {};
    for (const id of channels) {
      const seq = this.seqs.get(id);
      if (seq === undefined) continue;
      cursors[id] = seq;
      this.resuming.add(id);
    }
    return { epoch: this.epoch ?? '', cursors };
  }

  /** Ends the resume of these channels. */
  resumed(channels: string[]): void {
    for (const id of channels) this.resuming.delete(id);
  }

  /** Returns what to do with an entry, and advances the channel's cursor if it is to be delivered. */
  accept(event: LogEvent): Verdict {
    const { channel_id: id, seq } = event;
    const last = this.seqs.get(id);
    if (event.type === 'channel_left') {
      this.forget(id);
      return 'deliver';
    }
    if (last !== undefined && seq <= last) return 'drop';
    // A membership may begin at any seq: entries before it are not missing.
    if (last !== undefined && seq > last + 1 && event.type !== 'channel_joined') {
      // An entry that overtakes a resume is sent again by it.
      return this.resuming.has(id) ? 'drop' : 'gap';
    }
    this.seqs.set(id, seq);
    return 'deliver';
  }
}
