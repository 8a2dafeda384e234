let lastMs = 0;
let counter = 0;

/**
 * Returns a UUID of version 7 (RFC 9562, section 5.7). UUIDs of one page sort in the order in which they were created:
 * within a millisecond, the 12 bits after the timestamp count up (section 6.2, method 1).
 */
export function uuidv7(now: number = Date.now()): string {
  const b = crypto.getRandomValues(new Uint8Array(16));
  if (now > lastMs) {
    lastMs = now;
    counter = ((b[6]! << 8) | b[7]!) & 0x7ff; // starts in the lower half, which leaves room to count
  } else if (++counter > 0xfff) {
    lastMs++;
    counter = 0;
  }
  let t = lastMs;
  for (let i = 5; i >= 0; i--) {
    b[i] = t % 256;
    t = Math.floor(t / 256);
  }
  b[6] = 0x70 | (counter >> 8);
  b[7] = counter & 0xff;
  b[8] = 0x80 | (b[8]! & 0x3f);
  const hex = Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
