import { compact } from './compact.ts';
import type { ConnectionFrame, LogEvent } from './types.ts';

/**
 * What to do with an event of a channel's log: show it, drop it because it was seen
 * or will come again, or ask for what is missing before it.
 */
export type Verdict = 'deliver' | 'drop' | 'gap';

/** Channels in the query of a handshake: about 25 characters each, of an address of at most 16 KB. */
const maxInAddress = 400;

/** How far the client has seen each channel. */
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

  /**
   * What a handshake resumes from, undefined when nothing was seen yet, or more than
   * fits into an address.
   */
  handshake(): string | undefined {
    if (this.epoch === undefined || this.seqs.size === 0 || this.seqs.size > maxInAddress) return undefined;
    return compact(this.epoch, this.seqs);
  }

  /** Whether a channel is to be reloaded already, so that the server's word for it is no news. */
  isReset(channel: string): boolean {
    return this.reset.delete(channel);
  }

  /**
   * Takes the first frame of a socket. Channels in which something was missed are to
   * be resumed; those whose history is not the one that was seen, reloaded. The
   * others are heard from where they stand.
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

  /** The data of a resume of these channels, from what was seen last. */
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

  resumed(channels: string[]): void {
    for (const id of channels) this.resuming.delete(id);
  }

  accept(event: LogEvent): Verdict {
    const { channel_id: id, seq } = event;
    const last = this.seqs.get(id);
    if (event.type === 'channel_left') {
      this.forget(id);
      return 'deliver';
    }
    if (last !== undefined && seq <= last) return 'drop';
    // A membership begins where it begins: what was before is no gap.
    if (last !== undefined && seq > last + 1 && event.type !== 'channel_joined') {
      // What overtakes a resume is sent again by it.
      return this.resuming.has(id) ? 'drop' : 'gap';
    }
    this.seqs.set(id, seq);
    return 'deliver';
  }
}
