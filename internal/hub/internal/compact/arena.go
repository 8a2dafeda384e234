package compact

import "strings"

// chunkSize is the number of bytes that an Arena allocates at a time.
const chunkSize = 1 << 10

// Arena copies strings that live long, many of them into one allocation. Each by
// itself would lie between hundreds of short-lived strings, and keep the memory
// around it from being reused. The zero Arena is ready for use.
type Arena struct{ chunk strings.Builder }

// Copy returns a copy of s that does not keep what s is a part of in memory.
func (a *Arena) Copy(s string) string {
	if a.chunk.Cap()-a.chunk.Len() < len(s) {
		a.chunk.Reset()
		a.chunk.Grow(max(chunkSize, len(s)))
	}
	start := a.chunk.Len()
	a.chunk.WriteString(s)
	return a.chunk.String()[start:]
}
