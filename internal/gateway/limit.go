package gateway

import "time"

// bucket is a token bucket in eight bytes: the time at which it is full again, by
// the generic cell rate algorithm (ITU-T I.371).
type bucket int64

// take takes one token at the time now; false when there is none.
func (b *bucket) take(now time.Time, perSecond, burst int) bool {
	t := now.UnixNano()
	step := int64(time.Second) / int64(perSecond)
	full := max(int64(*b), t)
	if full+step-t > step*int64(burst) {
		return false
	}
	*b = bucket(full + step)
	return true
}

func (s *session) allow() bool {
	l := &s.gateway.Limits
	return s.rate.take(s.gateway.Now(), l.EventsPerSecond, l.EventsBurst)
}

// begin counts an event in that gets a goroutine; false when there are as many as
// may be.
func (g *Gateway) begin() bool {
	if !g.atOnce.TryAcquire(1) {
		return false
	}
	g.background.Add(1)
	return true
}

func (g *Gateway) end() {
	g.background.Done()
	g.atOnce.Release(1)
}
