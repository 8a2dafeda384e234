package history

// This file checks what sessions received.

func (c *checker) view(r *Record) *view {
	key := uint64(r.Session)<<32 | uint64(r.Channel)
	v := c.views[key]
	if v == nil {
		v = &view{channel: r.Channel, members: c.spans(r.Channel, r.Session)}
		c.views[key] = v
		c.sessions[r.Session].views = append(c.sessions[r.Session].views, v)
	}
	return v
}

// receive checks an entry as it came over the wire.
func (c *checker) receive(r *Record) {
	c.report.Received++
	v := c.view(r)
	if r.Seq <= v.raw {
		c.report.Repeated++
	}
	v.raw = max(v.raw, r.Seq)
	if !v.members.hold(r.Seq) {
		c.violate(Removal, "%s was sent seq %d of channel %s while not a member", c.user(r.Session), r.Seq, c.name(r.Channel))
	}
	e := c.channels[r.Channel].at(r.Seq)
	if e == nil || !e.stored {
		c.violate(Existing, "%s was sent seq %d of channel %s, a %s, which is not stored", c.user(r.Session), r.Seq,
			c.name(r.Channel), r.What)
		return
	}
	switch {
	case !e.seen:
		e.seen, e.seenAs, e.seenID = true, r.What, r.ID
	case e.seenAs != r.What || e.seenID != r.ID:
		c.violate(Agreed, "channel %s: at seq %d one client was sent %s %s, and %s %s %s", c.name(r.Channel), r.Seq, e.seenAs,
			e.seenID, c.user(r.Session), r.What, r.ID)
	}
	if e.what != r.What || e.id != r.ID {
		c.violate(Genuine, "channel %s: %s was sent %s %s at seq %d, but %s %s is stored there", c.name(r.Channel),
			c.user(r.Session), r.What, r.ID, r.Seq, e.what, e.id)
	}
}

// deliver checks an entry that the application received.
func (c *checker) deliver(r *Record) {
	c.report.Delivered++
	v := c.view(r)
	own := r.User == r.Session
	begins := r.What == Creation || r.What == Join && own
	switch {
	case begins && (!v.in || r.Seq > v.delivered && v.members.begin(r.Seq)):
		v.in, v.delivered = true, r.Seq-1
	case !v.in:
		c.violate(NoGap, "%s received seq %d of channel %s without its beginning", c.user(r.Session), r.Seq,
			c.name(r.Channel))
		v.in, v.delivered = true, r.Seq-1
	}
	switch {
	case r.Seq <= v.delivered:
		c.violate(NoRepeat, "%s received seq %d of channel %s after %d", c.user(r.Session), r.Seq, c.name(r.Channel),
			v.delivered)
		return
	case r.Seq > v.delivered+1:
		c.violate(NoGap, "%s received seq %d of channel %s after %d", c.user(r.Session), r.Seq, c.name(r.Channel),
			v.delivered)
	}
	v.delivered = r.Seq
	if r.What == Leave && own {
		v.in, v.owesResync, v.resumed = false, false, 0
	}
	if e := c.channels[r.Channel].at(r.Seq); e != nil {
		c.timing.delivered(r.At, e.ackedAt)
	}
}

func (c *checker) connect(r *Record) {
	s := &c.sessions[r.Session]
	if !s.epoch.IsZero() && s.epoch != r.ID {
		for _, v := range s.views {
			v.owesResync = v.in
		}
	}
	s.epoch = r.ID
	c.timing.mark(r)
}

func (c *checker) resync(r *Record) {
	c.report.Resyncs++
	v := c.view(r)
	switch {
	case r.What == ReasonEpoch && !v.owesResync:
		c.violate(EpochReported, "%s was notified of another history of channel %s, but there is none", c.user(r.Session),
			c.name(r.Channel))
	case r.What == ReasonAhead:
		c.violate(EpochReported, "%s had seen more of channel %s than the server has, in one epoch", c.user(r.Session),
			c.name(r.Channel))
	}
	v.in, v.owesResync, v.delivered, v.resumed = true, false, r.Seq, 0
}
