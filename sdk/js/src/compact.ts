/**
 * Returns the compact form of a resume for the query of the handshake: the epoch, a dot, and in base64url the 16 bytes
 * of each channel's id, followed by its seq as a varint.
 */
export function compact(epoch: string, cursors: Iterable<[string, number]>): string {
  const bytes: number[] = [];
  for (const [id, seq] of cursors) {
    const hex = id.replaceAll('-', '');
    for (let i = 0; i < 32; i += 2) bytes.push(parseInt(hex.slice(i, i + 2), 16));
    let rest = seq;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
    bytes.push(rest);
  }
  const base64 = btoa(String.fromCharCode(...bytes));
  return `${epoch}.${base64.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')}`;
}
