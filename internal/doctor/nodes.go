package doctor

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chowk-chat/chowk/internal/relay"
	"github.com/chowk-chat/chowk/internal/store"
)

// Relay is how nodes hear each other.
type Relay struct {
	Link relay.Link
	// Own is where the node of this machine takes connections of others, "" when it
	// takes none.
	Own string
}

// lookAtNodes joins the nodes for a moment.
func lookAtNodes(ctx context.Context, s Subject, x store.Examination) []Finding {
	switch {
	case !s.Relay.Link.IsSet() && len(x.Nodes) > 1:
		return []Finding{{
			"nodes", Warning, fmt.Sprintf("%d nodes share this database, and without a relay each hears seconds late what others commit", len(x.Nodes)),
			"give each of them relay.listen and relay.routes, or relay.url: see docs/nodes.md; if one was killed in the last two minutes, look again",
		}}
	case !s.Relay.Link.IsSet():
		return nil
	case len(x.NodesSpace) == 0:
		return []Finding{{"nodes", Unknown, "no node has ever started with a relay on this database", ""}}
	}
	sight, err := relay.Probe(ctx, hex.EncodeToString(x.NodesSpace), s.Relay.link())
	if err != nil {
		return []Finding{{"nodes", Failure, "no way to the other nodes: " + err.Error(), s.Relay.advice()}}
	}
	all := []Finding{s.heard(sight)}
	for _, address := range slices.Sorted(maps.Keys(sight.Unreachable)) {
		all = append(all, s.unreachable(address, sight))
	}
	for _, address := range slices.Sorted(maps.Keys(sight.Refused)) {
		why := sight.Refused[address]
		if len(sight.Problems) > 0 {
			why = strings.Join(sight.Problems, "; ")
		}
		all = append(all, Finding{"nodes", Failure, address + ": " + why, "relay.secret and the certificates must be those of the other nodes, and the address that of a relay.listen"})
	}
	for _, id := range slices.Sorted(maps.Keys(x.Nodes)) {
		if _, heard := sight.Nodes[id]; !heard {
			all = append(all, Finding{
				"nodes", Warning, fmt.Sprintf("node %s (%s) shares the database and is not heard", id, x.Nodes[id]),
				"if it was killed in the last two minutes, look again; if not, the way to it is closed: see docs/runbook/ChowkRelayDown.md",
			})
		}
	}
	return all
}

// link leads to the node here as well.
func (r Relay) link() relay.Link {
	l := r.Link
	if r.Own != "" {
		l.Routes = append(slices.Clone(l.Routes), r.Own)
	}
	return l
}

func (r Relay) advice() string {
	if r.Link.URL != "" {
		return "check relay.url and its user, relay.secret or relay.credentials-file, and relay.tls-ca-file"
	}
	return "check relay.routes and the relay.tls files"
}

// heard says who is there.
func (s Subject) heard(sight relay.ProbeResult) Finding {
	where := "in the processes"
	if s.Relay.Link.URL != "" {
		where = "at relay.url"
	}
	versions := make(map[string]int)
	for _, v := range sight.Nodes {
		versions[v]++
	}
	var of []string
	for _, v := range slices.Sorted(maps.Keys(versions)) {
		of = append(of, fmt.Sprintf("%d of %s", versions[v], v))
	}
	f := fine("nodes", "%d heard (%s), NATS %s %s, there and back in %v", len(sight.Nodes), strings.Join(of, ", "), sight.Server, where, short(sight.RoundTrip))
	switch {
	case len(sight.Nodes) == 0:
		f.Status, f.Found = Unknown, fmt.Sprintf("none is heard; NATS %s %s", sight.Server, where)
	case len(sight.Nodes) < s.Nodes:
		f.Status, f.Advice = Warning, fmt.Sprintf("there should be %d: do they run, and do their relay settings match?", s.Nodes)
	}
	return f
}

func (s Subject) unreachable(address string, sight relay.ProbeResult) Finding {
	f := Finding{"nodes", Warning, address + ": " + sight.Unreachable[address], "does the node run, and does the network let its relay.listen be reached?"}
	if isOwn := strings.HasPrefix(address, "127.") || strings.HasPrefix(address, "[::1]"); isOwn && len(sight.Nodes) == 0 {
		f.Status, f.Advice = Unknown, "" // nobody runs here
	}
	return f
}
