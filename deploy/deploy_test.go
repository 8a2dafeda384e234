// Package deploy tests what people install: the chart, the unit, the compose file
// and the image's recipe.
package deploy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func helm(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"helm", "../bin/tools/helm"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("helm is not installed: make tools builds it")
	return ""
}

type object map[string]any

// at walks into an object: a key, or an index of a list.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			switch m := v.(type) {
			case map[string]any:
				v = m[step]
			case object:
				v = m[step]
			default:
				return nil
			}
		case int:
			list, ok := v.([]any)
			if !ok || step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

// render makes the chart's objects by kind and name.
func render(t *testing.T, settings ...string) (map[string]object, error) {
	t.Helper()
	args := []string{"template", "chat", "helm/chowk"}
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	cmd := exec.CommandContext(t.Context(), helm(t), args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, errors.New(errOut.String())
	}
	all := make(map[string]object)
	for d := yaml.NewDecoder(&out); ; {
		var o object
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			t.Fatalf("the chart makes something that is no YAML: %v", err)
		}
		if o == nil {
			continue
		}
		if at(o, "apiVersion") == nil || at(o, "kind") == nil || at(o, "metadata", "name") == nil {
			t.Fatalf("the chart makes something that is no object: %v", o)
		}
		all[at(o, "kind").(string)+"/"+at(o, "metadata", "name").(string)] = o
	}
}

func mustRender(t *testing.T, settings ...string) map[string]object {
	t.Helper()
	all, err := render(t, settings...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// variable gives what a container's environment says, nil when it says nothing.
func variable(container any, name string) any {
	env, _ := at(container, "env").([]any)
	for _, e := range env {
		if at(e, "name") == name {
			return at(e, "value")
		}
	}
	return nil
}

func TestChart(t *testing.T) {
	all := mustRender(t, "existingSecret=chat", "replicaCount=3", "drain.delaySeconds=20", "drain.timeoutSeconds=70")
	d := all["Deployment/chat-chowk"]
	pod := at(d, "spec", "template", "spec")
	container := at(pod, "containers", 0)
	for _, c := range []struct {
		what string
		got  any
		want any
	}{
		{"replicas", at(d, "spec", "replicas"), uint64(3)},
		{"grace", at(pod, "terminationGracePeriodSeconds"), uint64(100)},
		{"root", at(pod, "securityContext", "runAsNonRoot"), true},
		{"file system", at(container, "securityContext", "readOnlyRootFilesystem"), true},
		{"readiness", at(container, "readinessProbe", "httpGet", "path"), "/readyz"},
		{"liveness asks for the process alone", at(container, "livenessProbe", "httpGet", "path"), "/healthz"},
		{"secret", at(container, "envFrom", 0, "secretRef", "name"), "chat"},
		{"a rolling update takes nobody away first", at(d, "spec", "strategy", "rollingUpdate", "maxUnavailable"), uint64(0)},
		{"disruption budget", at(all["PodDisruptionBudget/chat-chowk"], "spec", "maxUnavailable"), uint64(1)},
		{"service", at(all["Service/chat-chowk"], "spec", "ports", 0, "targetPort"), "http"},
		{"the ops port is not in the public service", at(all["Service/chat-chowk"], "spec", "ports", 1), nil},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v (%T), want %v", c.what, c.got, c.got, c.want)
		}
	}
	if delay := variable(container, "CHOWK_DRAIN_DELAY"); delay != "20s" {
		t.Errorf("the delay is %v", delay)
	}
	for _, kind := range []string{"HorizontalPodAutoscaler", "Ingress", "PersistentVolumeClaim", "ServiceMonitor"} {
		if all[kind+"/chat-chowk"] != nil {
			t.Errorf("nobody asked for a %s", kind)
		}
	}
}

func TestChartVariants(t *testing.T) {
	all := mustRender(t, "existingSecret=chat", "autoscaling.enabled=true", "metrics.operator=true", "ingress.enabled=true", "ingress.host=chat.example.org", "ingress.tlsSecret=tls")
	if got := at(all["HorizontalPodAutoscaler/chat-chowk"], "spec", "metrics", 0, "pods", "metric", "name"); got != "chowk_sockets" {
		t.Errorf("scales by %v", got)
	}
	if at(all["Deployment/chat-chowk"], "spec", "replicas") != nil {
		t.Error("the autoscaler and the deployment both say how many")
	}
	rules, _ := at(all["PrometheusRule/chat-chowk"], "spec", "groups").([]any)
	if len(rules) < 4 || !strings.Contains(at(rules[0], "rules", 0, "annotations", "description").(string), "{{ $labels.instance }}") {
		t.Errorf("%v", rules)
	}
	if got := at(all["Ingress/chat-chowk"], "spec", "tls", 0, "hosts", 0); got != "chat.example.org" {
		t.Errorf("TLS of %v", got)
	}
	all = mustRender(t, "persistence.enabled=true")
	if at(all["Deployment/chat-chowk"], "spec", "strategy", "type") != "Recreate" || all["PersistentVolumeClaim/chat-chowk"] == nil || all["PodDisruptionBudget/chat-chowk"] != nil {
		t.Error("SQLite is one node, which stops before the next one starts")
	}
}

// TestChartsNodesHearEachOther: by a name that stands for all pods, and nobody else
// reaches the port.
func TestChartsNodesHearEachOther(t *testing.T) {
	all := mustRender(t, "existingSecret=chat", "relay.port=7000", "relay.tlsSecret=nodes")
	d, nodes, policy := all["Deployment/chat-chowk"], all["Service/chat-chowk-nodes"], all["NetworkPolicy/chat-chowk"]
	pod := at(d, "spec", "template", "spec")
	container := at(pod, "containers", 0)
	for _, c := range []struct {
		what string
		got  any
		want any
	}{
		{"replicas", at(d, "spec", "replicas"), uint64(2)},
		{"listens", variable(container, "CHOWK_RELAY_LISTEN"), ":7000"},
		{"looks for", variable(container, "CHOWK_RELAY_ROUTES"), "chat-chowk-nodes:7000"},
		{"port of the pod", at(container, "ports", 2, "containerPort"), uint64(7000)},
		{"the service is headless", at(nodes, "spec", "clusterIP"), "None"},
		{"pods hear each other before they are ready", at(nodes, "spec", "publishNotReadyAddresses"), true},
		{"the service's pods", at(nodes, "spec", "selector", "app.kubernetes.io/instance"), "chat"},
		{"its port", at(nodes, "spec", "ports", 0, "targetPort"), "relay"},
		{"certificate", variable(container, "CHOWK_RELAY_TLS_CERT_FILE"), "/etc/chowk-relay/tls.crt"},
		{"key", variable(container, "CHOWK_RELAY_TLS_KEY_FILE"), "/etc/chowk-relay/tls.key"},
		{"authority", variable(container, "CHOWK_RELAY_TLS_CA_FILE"), "/etc/chowk-relay/ca.crt"},
		{"where they are", at(container, "volumeMounts", 2, "mountPath"), "/etc/chowk-relay"},
		{"from the secret", at(pod, "volumes", 2, "secret", "secretName"), "nodes"},
		{"whose pods are guarded", at(policy, "spec", "podSelector", "matchLabels", "app.kubernetes.io/instance"), "chat"},
		{"open to everybody", at(policy, "spec", "ingress", 0, "ports", 0, "port"), "http"},
		{"open to Prometheus", at(policy, "spec", "ingress", 0, "ports", 1, "port"), "ops"},
		{"and no more", at(policy, "spec", "ingress", 0, "ports", 2), nil},
		{"open to pods", at(policy, "spec", "ingress", 1, "ports", 0, "port"), "relay"},
		{"of this release", at(policy, "spec", "ingress", 1, "from", 0, "podSelector", "matchLabels", "app.kubernetes.io/instance"), "chat"},
		{"and no others", at(policy, "spec", "ingress", 1, "from", 1), nil},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v (%T), want %v", c.what, c.got, c.got, c.want)
		}
	}
	for name, settings := range map[string][]string{
		"a NATS of their own": {"existingSecret=chat", "relay.external=true"},
		"SQLite":              {"persistence.enabled=true"},
	} {
		all := mustRender(t, settings...)
		container := at(all["Deployment/chat-chowk"], "spec", "template", "spec", "containers", 0)
		if variable(container, "CHOWK_RELAY_LISTEN") != nil || variable(container, "CHOWK_RELAY_ROUTES") != nil || at(container, "ports", 2) != nil || all["Service/chat-chowk-nodes"] != nil {
			t.Errorf("with %s pods connect to each other", name)
		}
	}
	if at(mustRender(t, "persistence.enabled=true")["Deployment/chat-chowk"], "spec", "replicas") != uint64(1) {
		t.Error("SQLite is one node")
	}
}

func TestChartRefusesWhatCannotWork(t *testing.T) {
	for words, settings := range map[string][]string{
		"existingSecret":           nil,
		"replicaCount=1":           {"persistence.enabled=true", "replicaCount=2"},
		"take relay.external":      {"persistence.enabled=true", "relay.external=true"},
		"/relay/port":              {"existingSecret=s", "relay.port=8081"},
		"drain.windowSeconds":      {"existingSecret=s", "drain.windowSeconds=40"},
		"autoscaling.minReplicas":  {"existingSecret=s", "autoscaling.enabled=true", "autoscaling.maxReplicas=1"},
		"/autoscaling/cpuPercent":  {"existingSecret=s", "autoscaling.cpuPercent=0"},
		"/service/port":            {"existingSecret=s", "service.port=0"},
		"/service/type":            {"existingSecret=s", "service.type=Cluster"},
		"maxUnavailable":           {"existingSecret=s", "podDisruptionBudget.maxUnavailable=half"},
		"/image/pullPolicy":        {"existingSecret=s", "image.pullPolicy=always"},
		"/image/tag":               {"existingSecret=s", "image.tag=latest"},
		"ingress.host is missing":  {"existingSecret=s", "ingress.enabled=true"},
		"got string, want null or": {"existingSecret=s", "replicaCount=two"},
	} {
		if _, err := render(t, settings...); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v: %v, want %q", settings, err, words)
		}
	}
}

func TestChartHasTheAlerts(t *testing.T) {
	want, err := os.ReadFile("prometheus/chowk.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("helm/chowk/chowk.rules.yml")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the chart's copy of the alerts is old: run make generate (%v)", err)
	}
	if out, err := exec.CommandContext(t.Context(), helm(t), "lint", "--strict", "helm/chowk", "--set", "existingSecret=s").CombinedOutput(); err != nil {
		t.Errorf("helm lint: %v\n%s", err, out)
	}
}

func TestCompose(t *testing.T) {
	b, err := os.ReadFile("compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image   string
			Build   any
			Ports   []string
			Volumes []string
		}
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("compose/.env.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\$\{(\w+)`).FindAllSubmatch(b, -1) {
		if !bytes.Contains(example, append(m[1], '=')) {
			t.Errorf("%s is not in .env.example", m[1])
		}
	}
	for _, name := range []string{"chowk", "primary", "standby", "prometheus", "grafana"} {
		s, ok := file.Services[name]
		if !ok {
			t.Errorf("there is no %s", name)
		}
		if _, tag, tagged := strings.Cut(s.Image, ":"); !tagged || tag == "latest" {
			t.Errorf("%s: which version is %q?", name, s.Image)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: %s is open to everybody", name, p)
			}
		}
		for _, v := range s.Volumes {
			if from, _, _ := strings.Cut(v, ":"); strings.HasPrefix(from, ".") {
				if _, err := os.Stat(filepath.Join("compose", from)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	for _, script := range []string{"compose/primary.sh", "compose/standby.sh"} {
		if out, err := exec.CommandContext(t.Context(), "bash", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", script, out)
		}
	}
}

func TestImage(t *testing.T) {
	b, err := os.ReadFile("docker/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{"USER 65532:65532", `HEALTHCHECK`, `CMD ["/chowk", "health"]`, "distroless/static", `test -n "$VERSION"`, "-trimpath"} {
		if !strings.Contains(text, want) {
			t.Errorf("the image has no %s", want)
		}
	}
	for _, from := range regexp.MustCompile(`(?m)^FROM (?:--\S+ )?(\S+)`).FindAllStringSubmatch(text, -1) {
		if _, tag, tagged := strings.Cut(from[1], ":"); !tagged || tag == "latest" {
			t.Errorf("which version is %q?", from[1])
		}
	}
}

// TestUnit has systemd look at the unit, with a program that is there.
func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd here")
	}
	b, err := os.ReadFile("systemd/chowk.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "chowk.service")
	if err := os.WriteFile(unit, bytes.ReplaceAll(b, []byte("/usr/local/bin/chowk"), []byte("/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || bytes.Contains(out, []byte("chowk.service")) {
		t.Errorf("%v\n%s", err, out)
	}
}
