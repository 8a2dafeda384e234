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

// space is a namespace that admits only restricted pods, with its clients.
type space struct {
	name     string
	ctx      context.Context
	flags    *genericclioptions.ConfigFlags
	client   kubernetes.Interface
	objects  dynamic.Interface
	mapper   meta.RESTMapper
	warnings *warningLog
	// timeout limits each wait.
	timeout time.Duration
}

var spaces atomic.Int64

func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{
		name: fmt.Sprintf("space-%d", spaces.Add(1)), ctx: t.Context(), warnings: new(warningLog), timeout: waitTimeout,
	}
	s.flags = genericclioptions.NewConfigFlags(true)
	s.flags.KubeConfig, s.flags.Namespace = &shared.kubeconfig, &s.name
	cacheDir := t.TempDir()
	s.flags.CacheDir = &cacheDir
	s.flags.WrapConfigFn = func(c *rest.Config) *rest.Config {
		c.QPS, c.Burst = -1, -1
		c.WarningHandler = s.warnings
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

// warningLog collects the Warning headers of the API server.
type warningLog struct {
	mu    sync.Mutex // guards texts
	texts []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warningLog) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warningLog) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.texts) == 0 {
		return nil
	}
	return errors.New("the server warns: " + strings.Join(w.texts, "; "))
}

// resource returns the client for objects of this kind in the namespace.
func (s *space) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	k := o.GroupVersionKind()
	m, err := s.mapper.RESTMapping(k.GroupKind(), k.Version)
	if err != nil {
		return nil, err
	}
	if m.Scope.Name() != meta.RESTScopeNameNamespace {
		return nil, fmt.Errorf("%s is not a namespaced kind", k.Kind)
	}
	return s.objects.Resource(m.Resource).Namespace(s.name), nil
}

// create creates the objects one by one, as kubectl create --validate=strict does, and
// returns all errors and warnings.
func (s *space) create(all []*unstructured.Unstructured) error {
	var problems []error
	for _, o := range all {
		r, err := s.resource(o)
		if err == nil {
			_, err = r.Create(s.ctx, o, v1.CreateOptions{FieldValidation: v1.FieldValidationStrict})
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err))
		}
	}
	return errors.Join(append(problems, s.warnings.err())...)
}

// eventually polls until f returns nil, and returns its last error. A permanentError
// ends it.
func (s *space) eventually(f func() error) error {
	var last error
	err := wait.PollUntilContextTimeout(s.ctx, 100*time.Millisecond, s.timeout, true, func(
		context.Context,
	) (bool, error) {
		last = f()
		if errors.As(last, new(permanentError)) {
			return false, last
		}
		return last == nil, nil
	})
	if last != nil {
		return last
	}
	return err
}

// permanentError is an error that no retry resolves.
type permanentError struct{ error }
