package chart

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	core "k8s.io/api/core/v1"
	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// state has the objects of a release, by kind and name, without fields that the server
// assigns.
type state map[string]map[string]any

// kinds returns an object of each kind in any variant.
func kinds(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	c, all := load(t), map[string]*unstructured.Unstructured{}
	for _, v := range variants {
		for _, o := range render(t, c, v.values) {
			all[o.GetKind()] = o
		}
	}
	return slices.Collect(maps.Values(all))
}

func (s *space) state(kinds []*unstructured.Unstructured) (state, error) {
	all := state{}
	for _, kind := range kinds {
		r, err := s.resource(kind)
		if err != nil {
			return nil, err
		}
		list, err := r.List(s.ctx, v1.ListOptions{
			LabelSelector: "app.kubernetes.io/instance=" + name + ",app.kubernetes.io/managed-by=Helm",
		})
		if err != nil {
			return nil, err
		}
		for _, o := range list.Items {
			all[o.GetKind()+"/"+o.GetName()] = normalize(o)
		}
	}
	// The controller sets the number of pods.
	if all["HorizontalPodAutoscaler/chat-chowk"] != nil {
		all[deployment] = withoutReplicas(all[deployment])
	}
	return all, nil
}

const deployment = "Deployment/chat-chowk"

// withoutReplicas returns a copy of a deployment without its number of pods.
func withoutReplicas(d map[string]any) map[string]any {
	d = maps.Clone(d)
	spec := maps.Clone(d["spec"].(map[string]any))
	delete(spec, "replicas")
	d["spec"] = spec
	return d
}

// normalize removes what differs between namespaces.
func normalize(o unstructured.Unstructured) map[string]any {
	annotations := o.GetAnnotations()
	maps.DeleteFunc(annotations, func(k, _ string) bool {
		return strings.HasPrefix(k, "meta.helm.sh/") || strings.HasPrefix(k, "deployment.kubernetes.io/") ||
			strings.HasPrefix(k, "pv.kubernetes.io/")
	})
	m := o.Object
	m["metadata"] = map[string]any{"labels": o.GetLabels(), "annotations": annotations}
	delete(m, "status")
	if spec, ok := m["spec"].(map[string]any); ok {
		for _, assigned := range []string{"clusterIP", "clusterIPs", "healthCheckNodePort", "volumeName"} {
			if spec[assigned] != core.ClusterIPNone {
				delete(spec, assigned)
			}
		}
		ports, _ := spec["ports"].([]any)
		for _, p := range ports {
			delete(p.(map[string]any), "nodePort")
		}
	}
	return m
}

// diffStates returns an error that describes where two states differ.
func diffStates(got, want state) error {
	var problems []string
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] == nil {
			problems = append(problems, k+" is missing")
		} else if !cmp.Equal(want[k], got[k]) {
			problems = append(problems, k+" differs from a fresh install (-want +got)\n"+cmp.Diff(want[k], got[k]))
		}
	}
	for k := range got {
		// A claim is kept: it contains all messages.
		if want[k] == nil && !strings.HasPrefix(k, "PersistentVolumeClaim/") {
			problems = append(problems, k+" is left over")
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s", strings.Join(problems, "\n"))
	}
	return nil
}

// TestUpgrades upgrades from every variant to every other one, and rolls back. Each
// step must end in the state of a fresh install, with helm 4's way to change objects
// and with helm 3's.
func TestUpgrades(t *testing.T) {
	all := kinds(t)
	var mu sync.Mutex
	fresh := map[string]state{}
	t.Run("fresh", func(t *testing.T) {
		for _, v := range variants {
			t.Run(v.name, func(t *testing.T) {
				t.Parallel()
				h := newTool(t, true)
				if err := h.checkAfter(h.install(load(t), values(t, v.values))); err != nil {
					t.Fatal(err)
				}
				s, err := h.state(all)
				if err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				fresh[v.name] = s
				mu.Unlock()
				if err := h.uninstall(); err != nil {
					t.Fatal(err)
				}
				s, err = h.state(all)
				if err == nil {
					err = diffStates(s, nil)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	})
	for _, serverSide := range []bool{true, false} {
		for _, from := range variants {
			// Helm 3's way is tested from a small and from a large variant.
			if from.alone || !serverSide && from.name != "PostgreSQL" && from.name != "everything" {
				continue
			}
			t.Run(fmt.Sprintf("from %s, server side %v", from.name, serverSide), func(t *testing.T) {
				t.Parallel()
				upgrades(t, serverSide, from.name, from.values, fresh, all)
			})
		}
	}
}

func upgrades(
	t *testing.T, serverSide bool, from, text string, fresh map[string]state, all []*unstructured.Unstructured,
) {
	h := newTool(t, serverSide)
	first := values(t, text)
	if err := h.checkAfter(h.install(load(t), first)); err != nil {
		t.Fatal(err)
	}
	const scaled = "autoscaling"
	h.force = serverSide && from == scaled // as the guide describes
	check := func(what, variant string, uncertain bool) {
		t.Helper()
		s, err := h.state(all)
		want := fresh[variant]
		if err == nil && uncertain {
			// The autoscaler may act once more before helm removes it.
			want = maps.Clone(want)
			want[deployment] = withoutReplicas(want[deployment])
			s[deployment] = withoutReplicas(s[deployment])
		}
		if err == nil {
			err = diffStates(s, want)
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("install", from, false)
	for _, to := range variants {
		if to.name == from || to.alone {
			continue
		}
		what := "upgrade to " + to.name
		if err := h.checkAfter(h.upgrade(load(t), values(t, to.values))); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		check(what, to.name, from == scaled)
		if err := h.rollback(1); err != nil {
			t.Fatalf("rollback from %s: %v", to.name, err)
		}
		check("rollback from "+to.name, from, to.name == scaled)
	}
}
