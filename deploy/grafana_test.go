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

// TestGrafana follows what Grafana reads when it starts in the compose file: from its
// provisioning directory to the dashboard, and to the Prometheus that the dashboard queries.
func TestGrafana(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Volumes []string
		}
	}
	decode(t, "compose/compose.yaml", &compose)
	// host returns the directory of the repository that Grafana sees as inside.
	host := func(inside string) string {
		for _, v := range compose.Services["grafana"].Volumes {
			from, to, _ := strings.Cut(v, ":")
			if to, _, _ = strings.Cut(to, ":"); to == inside && strings.HasPrefix(from, ".") {
				return filepath.Join("compose", from)
			}
		}
		t.Fatalf("no directory is mounted at %s", inside)
		return ""
	}
	provisioning := host("/etc/grafana/provisioning")

	// Grafana itself ignores keys that it does not know.
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, Type, Access, URL string
			IsDefault               bool `yaml:"isDefault"`
		}
	}
	decode(t, filepath.Join(provisioning, "datasources", "prometheus.yaml"), &sources, yaml.Strict())
	if len(sources.Datasources) != 1 || sources.APIVersion != 1 {
		t.Fatalf("got the data sources %+v, want one of version 1", sources)
	}
	source := sources.Datasources[0]
	u, err := url.Parse(source.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, isService := compose.Services[u.Hostname()]
	if !isService || u.Scheme != "http" || u.Port() != "9090" || source.Access != "proxy" {
		t.Errorf("Grafana queries %s (%s), want a service of the compose file through the proxy", source.URL, source.Access)
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
		t.Fatalf("got the providers %+v, want one of files", providers)
	}
	dashboards, err := filepath.Glob(path.Join(host(providers.Providers[0].Options.Path), "*.json"))
	if err != nil || len(dashboards) == 0 {
		t.Fatalf("no dashboard was found: %v", err)
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
			t.Errorf("%s has no uid or no title", name)
		}
		// Panels query ${datasource}: the default source of the variable's type.
		chosen := false
		for _, v := range dashboard.Templating.List {
			isSource := v.Name == "datasource" && v.Type == "datasource" && v.Query == source.Type
			chosen = chosen || isSource && source.IsDefault
		}
		if !chosen {
			t.Errorf("%s does not query %s by default", name, source.Name)
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
