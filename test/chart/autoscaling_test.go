package chart

import (
	"fmt"
	"testing"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v1"
	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestAutoscalingKeepsPods checks that turning autoscaling on, and upgrades while it
// is on, keep the number of pods. A chart that only omitted the number would scale to
// one pod until the controller acts, and every socket would have moved.
func TestAutoscalingKeepsPods(t *testing.T) {
	for _, serverSide := range []bool{true, false} {
		t.Run(fmt.Sprintf("server side %v", serverSide), func(t *testing.T) {
			t.Parallel()
			h := newTool(t, serverSide)
			if err := h.checkAfter(h.install(load(t), values(t, "{ existingSecret: chat, replicaCount: 5 }"))); err != nil {
				t.Fatal(err)
			}
			upgrade := func(text string) func() error {
				return func() error { return h.checkAfter(h.upgrade(load(t), values(t, text))) }
			}
			const on = "existingSecret: chat, autoscaling: { enabled: true }"
			for _, step := range []struct {
				what string
				do   func() error
				want int32
			}{
				{"turn on", upgrade("{ " + on + " }"), 5},
				{"another setting changes", upgrade("{ " + on + ", config: { auth: jwt } }"), 5},
				{"the controller scales", func() error { return h.scale(7) }, 5},
				{"a setting changes after that", upgrade("{ " + on + ", config: {} }"), 7},
				{"another setting changes after that", upgrade("{ " + on + ", drain: { delaySeconds: 5 } }"), 7},
				{"rollback", func() error { return h.rollback(4) }, 7},
				{"turn off", func() error {
					h.force = serverSide // otherwise the autoscaler owns the number
					return upgrade("{ existingSecret: chat, replicaCount: 6 }")()
				}, 6},
			} {
				least, err := h.minReplicas(step.do)
				if err != nil {
					t.Fatalf("%s: %v", step.what, err)
				}
				if least != step.want {
					t.Errorf("%s: at one time %d pods were requested, want %d", step.what, least, step.want)
				}
			}
		})
	}
}

// scale sets the number of pods as the controller does.
func (s *space) scale(n int32) error {
	_, err := s.client.AppsV1().Deployments(s.name).UpdateScale(s.ctx, "chat-chowk", &autoscaling.Scale{
		ObjectMeta: v1.ObjectMeta{Name: "chat-chowk", Namespace: s.name},
		Spec:       autoscaling.ScaleSpec{Replicas: n},
	}, v1.UpdateOptions{FieldManager: "kube-controller-manager"})
	return err
}

// minReplicas returns the lowest number of pods requested while do runs.
func (s *space) minReplicas(do func() error) (int32, error) {
	deployments := s.client.AppsV1().Deployments(s.name)
	before, err := deployments.Get(s.ctx, "chat-chowk", v1.GetOptions{})
	if err != nil {
		return 0, err
	}
	w, err := deployments.Watch(s.ctx, v1.ListOptions{ResourceVersion: before.ResourceVersion})
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	if err := do(); err != nil {
		return 0, err
	}
	after, err := deployments.Get(s.ctx, "chat-chowk", v1.GetOptions{})
	if err != nil {
		return 0, err
	}
	least := *before.Spec.Replicas
	for d := before; d.Generation < after.Generation; least = min(least, *d.Spec.Replicas) {
		e, ok := <-w.ResultChan()
		if !ok {
			return 0, fmt.Errorf("the watch ended")
		}
		if d, ok = e.Object.(*apps.Deployment); !ok {
			return 0, fmt.Errorf("unexpected object of the watch: %v", e.Object)
		}
	}
	return least, nil
}
