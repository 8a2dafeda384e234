package history

// What follows is about what sessions were sent and handed.

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

// receive looks at what came over the wire.
func (c *checker) receive(r *Record) {
	c.report.Received++
	v := c.view(r)
	if r.Seq <= v.raw {
		c.report.Repeated++
	}
	v.raw = max(v.raw, r.Seq)
	if !v.members.hold(r.Seq) {
		c.breaks(
			Removal, "%s was sent seq %d of channel %s, and was no member then", c.user(r.Session), r.Seq, c.name(r.Channel),
		)
	}
	e := c.channels[r.Channel].at(r.Seq)
	if e == nil || !e.stored {
		c.breaks(
			Existing, "%s was sent seq %d of channel %s, a %s, which is not stored", c.user(r.Session), r.Seq, c.name(r.Channel),
			r.What,
		)
		return
	}
	switch {
	case !e.seen:
		e.seen, e.seenAs, e.seenID = true, r.What, r.ID
	case e.seenAs != r.What || e.seenID != r.ID:
		c.breaks(
			Agreed, "channel %s: at seq %d one was sent %s %s, and %s %s %s", c.name(r.Channel), r.Seq, e.seenAs, e.seenID,
			c.user(r.Session), r.What, r.ID,
		)
	}
	if e.what != r.What || e.id != r.ID {
		c.breaks(
			Genuine, "channel %s: %s was sent %s %s at seq %d, and %s %s is stored there", c.name(r.Channel), c.user(r.Session),
			r.What, r.ID, r.Seq, e.what, e.id,
		)
	}
}

// hand looks at what the application got.
func (c *checker) hand(r *Record) {
	c.report.Delivered++
	v := c.view(r)
	own := r.User == r.Session
	begins := r.What == Founds || r.What == Joins && own
	switch {
	case begins && (!v.in || r.Seq > v.handed && v.members.begin(r.Seq)):
		v.in, v.handed = true, r.Seq-1
	case !v.in:
		c.breaks(
			NoGap, "%s was handed seq %d of channel %s, without its beginning", c.user(r.Session), r.Seq, c.name(r.Channel),
		)
		v.in, v.handed = true, r.Seq-1
	}
	switch {
	case r.Seq <= v.handed:
		c.breaks(
			NoRepeat, "%s was handed seq %d of channel %s after %d", c.user(r.Session), r.Seq, c.name(r.Channel), v.handed,
		)
		return
	case r.Seq > v.handed+1:
		c.breaks(NoGap, "%s was handed seq %d of channel %s after %d", c.user(r.Session), r.Seq, c.name(r.Channel), v.handed)
	}
	v.handed = r.Seq
	if r.What == Leaves && own {
		v.in, v.tell, v.resumed = false, false, 0
	}
	if e := c.channels[r.Channel].at(r.Seq); e != nil {
		c.timing.handed(r.At, e.ackedAt)
	}
}

func (c *checker) connect(r *Record) {
	s := &c.sessions[r.Session]
	if !s.epoch.IsZero() && s.epoch != r.ID {
		for _, v := range s.views {
			v.tell = v.in
		}
	}
	s.epoch = r.ID
	c.timing.mark(r)
}

func (c *checker) told(r *Record) {
	c.report.Resyncs++
	v := c.view(r)
	switch {
	case r.What == ReasonEpoch && !v.tell:
		c.breaks(
			EpochTold, "%s was told of another history of channel %s, and there is none", c.user(r.Session), c.name(r.Channel),
		)
	case r.What == ReasonAhead:
		c.breaks(
			EpochTold, "%s had seen more of channel %s than the server has, in one epoch", c.user(r.Session), c.name(r.Channel),
		)
	}
	v.in, v.tell, v.handed, v.resumed = true, false, r.Seq, 0
}
