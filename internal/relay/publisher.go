package relay

import "time"

// publisher publishes the messages of this node.
type publisher struct {
	env
	from    nodeID
	cluster clusterID
	conn    interface { // set before the first message
		Publish(subject string, message []byte) error
	}
}

// publishFunc publishes one message with the time at which it was created. It may wait
// for the link, up to writeTimeout.
type publishFunc func(k kind, to string, at time.Time, body any) error

func (p *publisher) publish(k kind, to string, at time.Time, body any) error {
	m, err := encode(p.from, k, at, body)
	if err != nil {
		return err
	}
	if err := p.conn.Publish(p.cluster.subject(to), m); err != nil {
		if k != kindBeat { // the next heartbeat is soon
			p.metrics.Dropped.WithLabelValues("link").Inc()
		}
		return err
	}
	p.metrics.Published.WithLabelValues(kindNames[k]).Inc()
	return nil
}
