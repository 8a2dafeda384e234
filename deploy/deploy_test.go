// Package deploy tests what people install: the chart, the systemd unit, the compose file
// and the Dockerfile.
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

// at returns what is in v at a path of keys and list indexes, nil if there is nothing.
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

// render returns the chart's objects by kind and name.
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
			t.Fatalf("the chart renders something that is not YAML: %v", err)
		}
		if o == nil {
			continue
		}
		if at(o, "apiVersion") == nil || at(o, "kind") == nil || at(o, "metadata", "name") == nil {
			t.Fatalf("the chart renders something that is not an object: %v", o)
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

// variable returns the value of a variable in a container's environment, nil if it has none.
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
		{"runs without root", at(pod, "securityContext", "runAsNonRoot"), true},
		{"read-only file system", at(container, "securityContext", "readOnlyRootFilesystem"), true},
		{"readiness", at(container, "readinessProbe", "httpGet", "path"), "/readyz"},
		{"liveness checks only the process", at(container, "livenessProbe", "httpGet", "path"), "/healthz"},
		{"secret", at(container, "envFrom", 0, "secretRef", "name"), "chat"},
		{"pods missing in a rolling update", at(d, "spec", "strategy", "rollingUpdate", "maxUnavailable"), uint64(0)},
		{"disruption budget", at(all["PodDisruptionBudget/chat-chowk"], "spec", "maxUnavailable"), uint64(1)},
		{"service", at(all["Service/chat-chowk"], "spec", "ports", 0, "targetPort"), "http"},
		{"second port of the public service", at(all["Service/chat-chowk"], "spec", "ports", 1), nil},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v (%T), want %v", c.what, c.got, c.got, c.want)
		}
	}
	if delay := variable(container, "CHOWK_DRAIN_DELAY"); delay != "20s" {
		t.Errorf("the drain delay is %v, want 20s", delay)
	}
	for _, kind := range []string{"HorizontalPodAutoscaler", "Ingress", "PersistentVolumeClaim", "ServiceMonitor"} {
		if all[kind+"/chat-chowk"] != nil {
			t.Errorf("the chart renders a %s that is not enabled", kind)
		}
	}
}

func TestChartVariants(t *testing.T) {
	all := mustRender(t, "existingSecret=chat", "autoscaling.enabled=true", "metrics.operator=true",
		"ingress.enabled=true", "ingress.host=chat.example.org", "ingress.tlsSecret=tls")
	scaler := all["HorizontalPodAutoscaler/chat-chowk"]
	if got := at(scaler, "spec", "metrics", 0, "pods", "metric", "name"); got != "chowk_sockets" {
		t.Errorf("it scales by %v, want chowk_sockets", got)
	}
	if at(all["Deployment/chat-chowk"], "spec", "replicas") != nil {
		t.Error("the autoscaler and the deployment both set the number of pods")
	}
	rules, _ := at(all["PrometheusRule/chat-chowk"], "spec", "groups").([]any)
	text, _ := at(rules, 0, "rules", 0, "annotations", "description").(string)
	if len(rules) < 4 || !strings.Contains(text, "{{ $labels.instance }}") {
		t.Errorf("got %d groups of alerts, and the first description %q", len(rules), text)
	}
	if got := at(all["Ingress/chat-chowk"], "spec", "tls", 0, "hosts", 0); got != "chat.example.org" {
		t.Errorf("the certificate is for %v, want chat.example.org", got)
	}
	all = mustRender(t, "persistence.enabled=true")
	if got := at(all["Deployment/chat-chowk"], "spec", "strategy", "type"); got != "Recreate" {
		t.Errorf("with SQLite the strategy is %v, want Recreate", got)
	}
	if all["PersistentVolumeClaim/chat-chowk"] == nil || all["PodDisruptionBudget/chat-chowk"] != nil {
		t.Error("with SQLite there is no volume, or a disruption budget for the only node")
	}
}

// TestPodsConnectToEachOther by a name that resolves to all pods, and no other pod can reach
// the port.
func TestPodsConnectToEachOther(t *testing.T) {
	all := mustRender(t, "existingSecret=chat", "relay.port=7000", "relay.tlsSecret=nodes")
	d, nodes, policy := all["Deployment/chat-chowk"], all["Service/chat-chowk-nodes"], all["NetworkPolicy/chat-chowk"]
	pod := at(d, "spec", "template", "spec")
	container := at(pod, "containers", 0)
	const instance = "app.kubernetes.io/instance"
	for _, c := range []struct {
		what string
		got  any
		want any
	}{
		{"replicas", at(d, "spec", "replicas"), uint64(2)},
		{"address", variable(container, "CHOWK_RELAY_LISTEN"), ":7000"},
		{"routes", variable(container, "CHOWK_RELAY_ROUTES"), "chat-chowk-nodes:7000"},
		{"port of the pod", at(container, "ports", 2, "containerPort"), uint64(7000)},
		{"cluster IP of the service", at(nodes, "spec", "clusterIP"), "None"},
		{"publishes pods that are not ready", at(nodes, "spec", "publishNotReadyAddresses"), true},
		{"the service's pods", at(nodes, "spec", "selector", instance), "chat"},
		{"its port", at(nodes, "spec", "ports", 0, "targetPort"), "relay"},
		{"certificate", variable(container, "CHOWK_RELAY_TLS_CERT_FILE"), "/etc/chowk-relay/tls.crt"},
		{"key", variable(container, "CHOWK_RELAY_TLS_KEY_FILE"), "/etc/chowk-relay/tls.key"},
		{"CA", variable(container, "CHOWK_RELAY_TLS_CA_FILE"), "/etc/chowk-relay/ca.crt"},
		{"directory of the certificate", at(container, "volumeMounts", 2, "mountPath"), "/etc/chowk-relay"},
		{"its secret", at(pod, "volumes", 2, "secret", "secretName"), "nodes"},
		{"pods of the policy", at(policy, "spec", "podSelector", "matchLabels", instance), "chat"},
		{"open to all", at(policy, "spec", "ingress", 0, "ports", 0, "port"), "http"},
		{"open to Prometheus", at(policy, "spec", "ingress", 0, "ports", 1, "port"), "ops"},
		{"also open to all", at(policy, "spec", "ingress", 0, "ports", 2), nil},
		{"open to pods", at(policy, "spec", "ingress", 1, "ports", 0, "port"), "relay"},
		{"of the release", at(policy, "spec", "ingress", 1, "from", 0, "podSelector", "matchLabels", instance), "chat"},
		{"and of others", at(policy, "spec", "ingress", 1, "from", 1), nil},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v (%T), want %v", c.what, c.got, c.got, c.want)
		}
	}
	for name, settings := range map[string][]string{
		"an external NATS": {"existingSecret=chat", "relay.external=true"},
		"SQLite":           {"persistence.enabled=true"},
	} {
		all := mustRender(t, settings...)
		container := at(all["Deployment/chat-chowk"], "spec", "template", "spec", "containers", 0)
		for what, got := range map[string]any{
			"CHOWK_RELAY_LISTEN": variable(container, "CHOWK_RELAY_LISTEN"),
			"CHOWK_RELAY_ROUTES": variable(container, "CHOWK_RELAY_ROUTES"),
			"a third port":       at(container, "ports", 2),
		} {
			if got != nil {
				t.Errorf("with %s the pod has %s: %v", name, what, got)
			}
		}
		if all["Service/chat-chowk-nodes"] != nil {
			t.Errorf("with %s there is a service for nodes", name)
		}
	}
	if at(mustRender(t, "persistence.enabled=true")["Deployment/chat-chowk"], "spec", "replicas") != uint64(1) {
		t.Error("with SQLite there is more than one node")
	}
}

func TestChartRefusesWhatCannotWork(t *testing.T) {
	for want, settings := range map[string][]string{
		"existingSecret":           nil,
		"replicaCount=1":           {"persistence.enabled=true", "replicaCount=2"},
		"remove relay.external":    {"persistence.enabled=true", "relay.external=true"},
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
		if _, err := render(t, settings...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got error %v, want %q", settings, err, want)
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
		t.Errorf("the chart's copy of the alerts is stale: run make generate (%v)", err)
	}
	lint := exec.CommandContext(t.Context(), helm(t), "lint", "--strict", "helm/chowk", "--set", "existingSecret=s")
	if out, err := lint.CombinedOutput(); err != nil {
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
			t.Errorf("the variable %s is not in .env.example", m[1])
		}
	}
	for _, name := range []string{"chowk", "primary", "standby", "prometheus", "grafana"} {
		s, ok := file.Services[name]
		if !ok {
			t.Errorf("the compose file has no service %s", name)
		}
		if _, tag, tagged := strings.Cut(s.Image, ":"); !tagged || tag == "latest" {
			t.Errorf("the image of %s is %q, which does not name a version", name, s.Image)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to other machines", name, p)
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
	for _, want := range []string{
		"USER 65532:65532", `HEALTHCHECK`, `CMD ["/chowk", "health"]`, "distroless/static", `test -n "$VERSION"`, "-trimpath",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the Dockerfile has no %s", want)
		}
	}
	for _, from := range regexp.MustCompile(`(?m)^FROM (?:--\S+ )?(\S+)`).FindAllStringSubmatch(text, -1) {
		if _, tag, tagged := strings.Cut(from[1], ":"); !tagged || tag == "latest" {
			t.Errorf("the base image %q does not name a version", from[1])
		}
	}
}

// TestUnit checks the unit with systemd's own tool, with a program that exists.
func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd is not installed")
	}
	b, err := os.ReadFile("systemd/chowk.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "chowk.service")
	b = bytes.ReplaceAll(b, []byte("/usr/local/bin/chowk"), []byte("/bin/true"))
	if err := os.WriteFile(unit, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("chowk.service")) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
