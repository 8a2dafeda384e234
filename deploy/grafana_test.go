package deploy

import (
	"encoding/json"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestGrafana follows what Grafana follows when it starts in the compose file: from its
// provisioning folder to the dashboard, and to the Prometheus that the dashboard asks.
func TestGrafana(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Volumes []string
		}
	}
	decode(t, "compose/compose.yaml", &compose)
	// host finds the folder of the project that Grafana sees as inside.
	host := func(inside string) string {
		for _, v := range compose.Services["grafana"].Volumes {
			from, to, _ := strings.Cut(v, ":")
			if to, _, _ = strings.Cut(to, ":"); to == inside && strings.HasPrefix(from, ".") {
				return filepath.Join("compose", from)
			}
		}
		t.Fatalf("Grafana has no %s", inside)
		return ""
	}
	provisioning := host("/etc/grafana/provisioning")

	// Grafana itself passes over a key that it does not know.
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, Type, Access, URL string
			IsDefault               bool `yaml:"isDefault"`
		}
	}
	decode(t, filepath.Join(provisioning, "datasources", "prometheus.yaml"), &sources, yaml.Strict())
	if len(sources.Datasources) != 1 || sources.APIVersion != 1 {
		t.Fatalf("%+v", sources)
	}
	source := sources.Datasources[0]
	u, err := url.Parse(source.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := compose.Services[u.Hostname()]; !ok || u.Scheme != "http" || u.Port() != "9090" || source.Access != "proxy" {
		t.Errorf("Grafana asks %s (%s)", source.URL, source.Access)
	}

	var providers struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type string
			Options    struct{ Path string }
		}
	}
	decode(t, filepath.Join(provisioning, "dashboards", "chowk.yaml"), &providers, yaml.Strict())
	if len(providers.Providers) != 1 || providers.APIVersion != 1 || providers.Providers[0].Type != "file" {
		t.Fatalf("%+v", providers)
	}
	dashboards, err := filepath.Glob(path.Join(host(providers.Providers[0].Options.Path), "*.json"))
	if err != nil || len(dashboards) == 0 {
		t.Fatalf("there are no dashboards: %v", err)
	}
	for _, name := range dashboards {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var dashboard struct {
			UID, Title string
			Templating struct {
				List []struct {
					Name, Type string
					Query      any
				}
			}
		}
		if err := json.Unmarshal(b, &dashboard); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if dashboard.UID == "" || dashboard.Title == "" {
			t.Errorf("%s has no name to be found by", name)
		}
		// Panels ask ${datasource}: the default source of the variable's type.
		chosen := false
		for _, v := range dashboard.Templating.List {
			chosen = chosen || v.Name == "datasource" && v.Type == "datasource" && v.Query == source.Type && source.IsDefault
		}
		if !chosen {
			t.Errorf("%s does not ask %s by itself", name, source.Name)
		}
	}
}

func decode(t *testing.T, name string, to any, options ...yaml.DecodeOption) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalWithOptions(b, to, options...); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
