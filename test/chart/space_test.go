package chart

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// space is a namespace that admits restricted pods alone, and those who talk to it.
type space struct {
	name    string
	ctx     context.Context
	flags   *genericclioptions.ConfigFlags
	client  kubernetes.Interface
	objects dynamic.Interface
	mapper  meta.RESTMapper
	heard   *warnings
	// patience is how long what should come may take.
	patience time.Duration
}

var spaces atomic.Int64

func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{name: fmt.Sprintf("space-%d", spaces.Add(1)), ctx: t.Context(), heard: new(warnings), patience: patience}
	s.flags = genericclioptions.NewConfigFlags(true)
	s.flags.KubeConfig, s.flags.Namespace = &shared.kubeconfig, &s.name
	cacheDir := t.TempDir()
	s.flags.CacheDir = &cacheDir
	s.flags.WrapConfigFn = func(c *rest.Config) *rest.Config {
		c.QPS, c.Burst = -1, -1
		c.WarningHandler = s.heard
		return c
	}
	config, err := s.flags.ToRESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	if s.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if s.objects, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if s.mapper, err = s.flags.ToRESTMapper(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.CoreV1().Namespaces().Create(s.ctx, &core.Namespace{ObjectMeta: v1.ObjectMeta{
		Name: s.name,
		Labels: map[string]string{
			"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
		},
	}}, v1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// warnings are what the API server says in Warning headers.
type warnings struct {
	mu   sync.Mutex // guards said
	said []string
}

// HandleWarningHeader is rest.WarningHandler's.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
}

func (w *warnings) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.said) == 0 {
		return nil
	}
	return errors.New("the server warns: " + strings.Join(w.said, "; "))
}

// of gives the resource of an object of this namespace.
func (s *space) of(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	k := o.GroupVersionKind()
	m, err := s.mapper.RESTMapping(k.GroupKind(), k.Version)
	if err != nil {
		return nil, err
	}
	if m.Scope.Name() != meta.RESTScopeNameNamespace {
		return nil, fmt.Errorf("%s is no object of a namespace", k.Kind)
	}
	return s.objects.Resource(m.Resource).Namespace(s.name), nil
}

// create gives the objects to the server one by one, as kubectl create --validate=strict
// does, and collects what it has against them.
func (s *space) create(all []*unstructured.Unstructured) error {
	var wrong []error
	for _, o := range all {
		r, err := s.of(o)
		if err == nil {
			_, err = r.Create(s.ctx, o, v1.CreateOptions{FieldValidation: v1.FieldValidationStrict})
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err))
		}
	}
	return errors.Join(append(wrong, s.heard.err())...)
}

// eventually waits until f has nothing against it, and gives what it had last. What f
// wraps in hopeless does not get better.
func (s *space) eventually(f func() error) error {
	var last error
	err := wait.PollUntilContextTimeout(s.ctx, 100*time.Millisecond, s.patience, true, func(
		context.Context,
	) (bool, error) {
		last = f()
		if errors.As(last, new(hopeless)) {
			return false, last
		}
		return last == nil, nil
	})
	if last != nil {
		return last
	}
	return err
}

type hopeless struct{ error }
