package chart

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	helm "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

const (
	chartDir = "../../deploy/helm/chowk"
	name     = "chat" // of the release
)

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func values(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// render returns the objects as helm template does, without a server.
func render(t *testing.T, c *chart.Chart, text string) []*unstructured.Unstructured {
	t.Helper()
	all, err := rendered(c, name, values(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (c *cluster) version() (*common.KubeVersion, error) {
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return nil, err
	}
	v, err := client.Discovery().ServerVersion()
	if err != nil {
		return nil, err
	}
	return common.ParseKubeVersion(v.GitVersion)
}

func rendered(c *chart.Chart, release string, v map[string]any) ([]*unstructured.Unstructured, error) {
	version, err := shared.version()
	if err != nil {
		return nil, err
	}
	i := action.NewInstall(action.NewConfiguration())
	i.KubeVersion = version
	i.ReleaseName, i.Namespace, i.DryRunStrategy = release, "default", action.DryRunClient
	made, err := i.Run(c, v)
	if err != nil {
		return nil, err
	}
	return parse(made.(*helm.Release).Manifest)
}

func parse(manifest string) (all []*unstructured.Unstructured, err error) {
	for d := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifest))); ; {
		text, err := d.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		o := new(unstructured.Unstructured)
		if err := yaml.UnmarshalStrict(text, &o.Object); err != nil { // a duplicate key is an error
			return nil, err
		}
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
}

// tool runs helm as its program does, with --wait, which waits for pods.
type tool struct {
	*space
	// serverSide selects how objects are changed: as helm 4 does, or as helm 3 does.
	serverSide bool
	force      bool // --force-conflicts
	config     *action.Configuration
}

func newTool(t *testing.T, serverSide bool) *tool {
	t.Helper()
	s := newSpace(t)
	h := &tool{
		space: s, serverSide: serverSide, config: action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler)),
	}
	if err := h.config.Init(s.flags, s.name, ""); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *tool) install(c *chart.Chart, v map[string]any) (*helm.Release, error) {
	i := action.NewInstall(h.config)
	i.ReleaseName, i.Namespace, i.ServerSideApply = name, h.space.name, h.serverSide
	i.WaitStrategy, i.Timeout = kube.StatusWatcherStrategy, waitTimeout
	made, err := i.RunWithContext(h.ctx, c, v)
	if err != nil {
		return nil, err
	}
	return made.(*helm.Release), h.warnings.err()
}

func (h *tool) upgrade(c *chart.Chart, v map[string]any) (*helm.Release, error) {
	u := action.NewUpgrade(h.config)
	u.Namespace, u.WaitStrategy, u.Timeout = h.space.name, kube.StatusWatcherStrategy, waitTimeout
	u.ForceConflicts = h.force
	made, err := u.RunWithContext(h.ctx, name, c, v)
	if err != nil {
		return nil, err
	}
	return made.(*helm.Release), h.warnings.err()
}

func (h *tool) rollback(version int) error {
	r := action.NewRollback(h.config)
	r.Version, r.WaitStrategy, r.Timeout = version, kube.StatusWatcherStrategy, waitTimeout
	return errors.Join(r.Run(name), h.warnings.err())
}

func (h *tool) uninstall() error {
	u := action.NewUninstall(h.config)
	u.WaitStrategy, u.Timeout = kube.StatusWatcherStrategy, waitTimeout
	_, err := u.Run(name)
	return errors.Join(err, h.warnings.err())
}

// checkAfter checks that the objects of a release work, unless helm returned an error.
func (h *tool) checkAfter(r *helm.Release, err error) error {
	if err != nil {
		return err
	}
	all, err := parse(r.Manifest)
	if err != nil {
		return err
	}
	return h.checkRelease(all)
}
