// Package chart tests the Helm chart against a Kubernetes API server with its
// controllers, which `make test-chart` builds. It is a separate module, because chowk
// itself needs none of their dependencies.
package chart

import (
	"bytes"
	"strings"
	"testing"
)

// variants have values that change every part of the chart.
var variants = []struct {
	name, values string
	alone        bool // no upgrade to it is possible: a claim keeps its storage class
}{
	{"PostgreSQL", `existingSecret: chat`, false},
	{"SQLite", `persistence: { enabled: true }`, false},
	{
		"external NATS",
		`{ existingSecret: chat, relay: { external: true }, podDisruptionBudget: { maxUnavailable: 50% } }`, false,
	},
	{
		"encrypted",
		`{ existingSecret: chat, relay: { port: 7000, tlsSecret: nodes },` +
			` config: { public-url: "https://chat.example.org" } }`,
		false,
	},
	{
		"ingress",
		`{ existingSecret: chat, ingress: { enabled: true, className: nginx, host: chat.example.org, tlsSecret: chat-tls } }`,
		false,
	},
	{"monitoring", `{ existingSecret: chat, metrics: { operator: true, labels: { release: prometheus } } }`, false},
	{"minimal", `
existingSecret: chat
replicaCount: 1
config: {}
ingress: { enabled: true, host: "*.example.org", annotations: {} }
networkPolicy: { enabled: false }
podDisruptionBudget: { enabled: false }
resources: {}
metrics: { operator: true }
`, false},
	{"everything", `
replicaCount: 3
image: { repository: registry.example.org:5000/chat/chowk, tag: "v0.1.0@sha256:` + digest + `", pullPolicy: Always }
imagePullSecrets: [{ name: registry }]
existingSecret: chat
relay: { tlsSecret: nodes }
drain: { delaySeconds: 20, windowSeconds: 60, timeoutSeconds: 600 }
service: { type: LoadBalancer, port: 443, annotations: { example.org/balancer: inside } }
ingress: { enabled: true, host: chat.example.org }
resources: { requests: { cpu: 1, memory: 1Gi }, limits: { cpu: 2.5, memory: 1.5Gi } }
metrics: { operator: true }
serviceAccount: { annotations: { example.org/role: chat } }
nodeSelector: { kubernetes.io/arch: amd64 }
tolerations: [{ key: chat, operator: Exists, effect: NoSchedule }]
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector: { matchLabels: { app.kubernetes.io/name: chowk } }
podAnnotations: { example.org/team: chat }
`, false},
	{"autoscaling", `{ existingSecret: chat, autoscaling: { enabled: true } }`, false},
	{"SQLite with everything", `
persistence: { enabled: true, size: 1.5Ti, storageClass: fast }
ingress: { enabled: true, host: chat.example.org }
metrics: { operator: true }
`, true},
}

const digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// TestServerAcceptsChart checks that there is no error and no warning, and that the
// objects work together.
func TestServerAcceptsChart(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			s, all := newSpace(t), render(t, load(t), v.values)
			if err := s.create(all); err != nil {
				t.Fatal(err)
			}
			if err := s.checkRelease(all); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestReleaseNames checks names that helm accepts: the API server must accept the
// objects named after them.
func TestReleaseNames(t *testing.T) {
	for _, release := range []string{
		"chowk", "chat.example.org", "a-chowk.b", strings.Repeat("long", 13), strings.Repeat("l", 49) + ".a",
	} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t)
			all, err := rendered(
				load(t), release,
				values(
					t, "{ existingSecret: chat, metrics: { operator: true }, ingress: { enabled: true, host: chat.example.org } }",
				),
			)
			if err == nil {
				err = s.create(all)
			}
			if err == nil {
				err = s.checkRelease(all)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestChartMistakesAreDetected checks that these tests detect a mistake of each kind
// in the chart.
func TestChartMistakesAreDetected(t *testing.T) {
	for _, c := range []struct{ what, file, from, to, values, want string }{
		{
			"unknown field", "deployment", "failureThreshold: 60", "failureTreshold: 60", "",
			`unknown field "spec.template.spec.containers[0].startupProbe.failureTreshold"`,
		},
		{
			"duplicate field", "deployment", "          imagePullPolicy:", "          name: chowk\n          imagePullPolicy:",
			"",
			`key "name" already set`,
		},
		{
			"wrong type", "deployment", "name: ops, containerPort: 8081", "name: ops, containerPort: ops", "", "containerPort",
		},
		{
			"negative number", "deployment", "periodSeconds: 10", "periodSeconds: -10", "",
			"livenessProbe.periodSeconds: Invalid value: -10",
		},
		{"number without quotes", "deployment", `value: ":8080"`, "value: 8080", "", "env"},
		{"root", "deployment", "runAsNonRoot: true", "runAsNonRoot: false", "", "would violate PodSecurity"},
		{"privileges", "deployment", "drop: [ALL]", "drop: [NET_RAW]", "", "would violate PodSecurity"},
		{
			"deprecated field", "service", "publishNotReadyAddresses: true",
			"publishNotReadyAddresses: true\n  externalIPs: [192.0.2.1]", "", "the server warns",
		},
		{
			"conflicting fields of the budget", "scaling", "maxUnavailable: {{", "minAvailable: 1\n  maxUnavailable: {{", "",
			"minAvailable and maxUnavailable cannot be both set",
		},
		{
			"limit of the scaling", "scaling", "stabilizationWindowSeconds: 1800", "stabilizationWindowSeconds: 18000",
			"autoscaling: { enabled: true }", "must be less than or equal to 3600",
		},
		{
			"invalid interval", "monitoring", "interval: 15s", "interval: a while", "metrics: { operator: true }",
			"spec.endpoints[0].interval",
		},
		{
			"unknown field of a monitor", "monitoring", "scrapeTimeout:", "timeout:", "metrics: { operator: true }",
			`unknown field "spec.endpoints[0].timeout"`,
		},
		{
			"port missing in pods", "service", "targetPort: http", "targetPort: web", "",
			"port http refers to a port that pods do not have (web)",
		},
		{
			"port missing in the service", "ingress", "port: { name: http }", "port: { name: web }",
			"ingress: { enabled: true, host: a.example }", "refers to chat-chowk, port web, which does not exist",
		},
		{
			"port without access", "relay", "ports: [{ port: relay }]", "ports: [{ port: nodes }]", "",
			"closes port relay",
		},
		{
			"selector matches no pods", "scaling", `include "chowk.selector" .`,
			`include "chowk.labels" . | replace "chowk" "chowks"`, "",
			"PodDisruptionBudget chat-chowk: it counts 0 of 2 pods",
		},
		{
			"missing service account", "deployment", `serviceAccountName: {{ include "chowk.name" . }}`,
			"serviceAccountName: chat",
			"", "the template creates no pod",
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			broken := load(t)
			for _, f := range broken.Templates {
				if f.Name == "templates/"+c.file+".yaml" {
					if !bytes.Contains(f.Data, []byte(c.from)) {
						t.Fatalf("%s no longer contains %q", f.Name, c.from)
					}
					f.Data = bytes.Replace(f.Data, []byte(c.from), []byte(c.to), 1)
				}
			}
			s := newSpace(t)
			s.timeout = negativeTimeout
			all, err := rendered(broken, name, values(t, "existingSecret: chat\n"+c.values))
			if err == nil {
				if err = s.create(all); err == nil {
					err = s.checkRelease(all)
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one that contains %q", err, c.want)
			}
		})
	}
}
