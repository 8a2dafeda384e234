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

// Relay describes how nodes connect to each other.
type Relay struct {
	Link relay.Link
	// Own is the address at which the node of this machine accepts connections of
	// others, "" if it accepts none.
	Own string
}

// checkNodes joins the nodes for a moment.
func checkNodes(ctx context.Context, s Subject, nodes store.Nodes) []Finding {
	switch {
	case !s.Relay.Link.IsSet() && len(nodes.Versions) > 1:
		return []Finding{{
			"nodes", Warning,
			fmt.Sprintf(
				"%d nodes share this database without a relay, so each receives seconds late what others commit",
				len(nodes.Versions),
			),
			"set relay.listen and relay.routes, or relay.url, on each of them (docs/nodes.md); if one was killed within two " +
				"minutes, run this again",
		}}
	case !s.Relay.Link.IsSet():
		return nil
	case len(nodes.ClusterID) == 0:
		return []Finding{{"nodes", Unknown, "no node has ever started with a relay on this database", ""}}
	}
	result, err := relay.Probe(ctx, hex.EncodeToString(nodes.ClusterID), s.Relay.link())
	if err != nil {
		return []Finding{{"nodes", Failure, "the other nodes cannot be reached: " + err.Error(), s.Relay.advice()}}
	}
	all := []Finding{s.heard(result)}
	for _, address := range slices.Sorted(maps.Keys(result.Unreachable)) {
		all = append(all, s.unreachable(address, result))
	}
	for _, address := range slices.Sorted(maps.Keys(result.Refused)) {
		why := result.Refused[address]
		if len(result.Problems) > 0 {
			why = strings.Join(result.Problems, "; ")
		}
		all = append(all, Finding{
			"nodes", Failure, address + ": " + why,
			"relay.secret and the certificates must match those of the other nodes, and the address must be a " +
				"relay.listen address",
		})
	}
	for _, id := range slices.Sorted(maps.Keys(nodes.Versions)) {
		if _, heard := result.Nodes[id]; !heard {
			all = append(all, Finding{
				"nodes", Warning,
				fmt.Sprintf("node %s (%s) shares the database, but this machine does not hear it", id, nodes.Versions[id]),
				"if it was killed within two minutes, run this again; otherwise its address is blocked: see " +
					"docs/runbook/ChowkRelayDown.md",
			})
		}
	}
	return all
}

// link returns the link with the address of this machine's own node added.
func (r Relay) link() relay.Link {
	l := r.Link
	if r.Own != "" {
		l.Routes = append(slices.Clone(l.Routes), r.Own)
	}
	return l
}

func (r Relay) advice() string {
	if len(r.Link.URL) > 0 {
		return "check relay.url and its user, relay.secret or relay.credentials-file, and relay.tls-ca-file"
	}
	return "check relay.routes and the relay.tls files"
}

// heard reports the nodes that answered.
func (s Subject) heard(result relay.ProbeResult) Finding {
	where := "built in"
	if len(s.Relay.Link.URL) > 0 {
		where = "at relay.url"
	}
	versions := make(map[string]int)
	for _, v := range result.Nodes {
		versions[v]++
	}
	var of []string
	for _, v := range slices.Sorted(maps.Keys(versions)) {
		of = append(of, fmt.Sprintf("%d of %s", versions[v], v))
	}
	f := fine(
		"nodes", "%d heard (%s), NATS %s %s, round trip %v", len(result.Nodes), strings.Join(of, ", "), result.Server, where,
		short(result.RoundTrip),
	)
	switch {
	case len(result.Nodes) == 0:
		f.Status, f.Found = Unknown, fmt.Sprintf("none is heard; NATS %s %s", result.Server, where)
	case len(result.Nodes) < s.Nodes:
		f.Status, f.Advice = Warning, fmt.Sprintf(
			"%d are expected: are they running, and do their relay settings match?", s.Nodes,
		)
	}
	return f
}

func (s Subject) unreachable(address string, result relay.ProbeResult) Finding {
	f := Finding{
		"nodes", Warning, address + ": " + result.Unreachable[address],
		"is the node running, and does the network allow connections to its relay.listen address?",
	}
	if isOwn := strings.HasPrefix(address, "127.") || strings.HasPrefix(address, "[::1]"); isOwn &&
		len(result.Nodes) == 0 {
		f.Status, f.Advice = Unknown, "" // no node runs here
	}
	return f
}
