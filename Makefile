# chowk: `make run` serves on loopback with SQLite, `make test` tests everything.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -buildid= -X main.version=$(VERSION)
GO      ?= go
TOOL    := $(GO) tool -modfile=tools/go.mod

.PHONY: help
help: ## Show what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the binary into bin/chowk (needs Go alone)
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/chowk ./cmd/chowk

.PHONY: run
run: build ## Build and serve on 127.0.0.1:8080 with SQLite in ./chowk-data
	@./bin/chowk serve

.PHONY: test
test: tools test-go test-web test-browser ## Install what is missing, then run every test

.PHONY: tools
tools: ## Install PostgreSQL, Chromium and make-time tools where they are missing
	@./tools/install.sh

.PHONY: test-go
test-go: ## Go tests, both databases, with the race detector
	$(GO) vet ./...
	@# Never from the cache: many tests build the server, of which the cache knows nothing.
	$(GO) test -race -count=1 -timeout 15m ./...
	cd test/envoy && $(GO) test -count=1 ./...

FAULTS_TIME ?= 31s
.PHONY: test-faults
test-faults: ## Half an hour of faults: each alone, on both databases, checked message by message
	@mkdir -p bin && rm -f bin/faults.jsonl
	CHOWK_FAULTS_RESULTS=$(CURDIR)/bin/faults.jsonl CHOWK_FAULTS_TIME=$(FAULTS_TIME) $(GO) test -v -count=1 -timeout 2h ./test/faults/

.PHONY: faults-table
faults-table: ## Put what make test-faults found into docs/guarantees.md
	$(GO) run ./cmd/chowk-lab faults-table --into docs/guarantees.md --least 2000000 bin/faults.jsonl

.PHONY: test-alerts
test-alerts: ## Every alert fires under a real fault and is silent in calm, with clocks 30 times as fast (11 minutes)
	@mkdir -p bin
	CHOWK_ALERTS=all CHOWK_ALERTS_TABLE=$(CURDIR)/bin/alerts.md $(GO) test -v -count=1 -timeout 40m ./test/alerts/

.PHONY: test-image
test-image: ## The image, the compose file and the systemd unit, run by a Docker daemon (3 minutes, the first time 8; starts one on Debian)
	@deploy/containers/engine.sh sh -c 'deploy/containers/test.sh && deploy/containers/unit.sh' || [ $$? -eq 77 ]

# What Kubernetes is made of, from its modules, and the Prometheus operator's kinds from
# the Go types they are written in. One set of flags: what both need is compiled once.
CLUSTER := etcd=go.etcd.io/etcd/server/v3 kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver \
	kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager controller-gen=sigs.k8s.io/controller-tools/cmd/controller-gen
.PHONY: test-chart
test-chart: export CGO_ENABLED = 0
test-chart: export GOFLAGS += -trimpath
test-chart: ## The Helm chart on a real Kubernetes API server and its controllers (3 minutes; the first time it compiles Kubernetes, 11 minutes)
	@mkdir -p bin/cluster
	@cd test/chart && version=$$($(GO) list -m -f '{{.Version}}' k8s.io/kubernetes) && for p in $(CLUSTER); do \
		echo "building $${p%%=*}"; $(GO) build -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$$version" -o ../../bin/cluster/$${p%%=*} $${p#*=} || exit; \
	done
	@cd test/chart && ../../bin/cluster/controller-gen crd:generateEmbeddedObjectMeta=true output:crd:dir=../../bin/cluster/crds \
		paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1
	cd test/chart && $(GO) vet ./... && $(GO) test -count=1 -parallel 6 -timeout 30m ./...

.PHONY: test-portable
test-portable: ## The portable transport's tests on Linux, and that it builds elsewhere
	$(GO) test -race -tags portable ./internal/netpoll/ ./internal/gateway/
	GOOS=darwin $(GO) build ./...
	GOOS=windows $(GO) build ./...

.PHONY: test-web
test-web: ## Unit tests of the page and the TypeScript client
	cd sdk/js && npm ci --no-audit --no-fund && npm run check && npm test
	cd web && npm ci --no-audit --no-fund && npm run check && npm test

.PHONY: test-browser
test-browser: build ## The page in a real Chromium, with the incident's own load test
	cd test/browser && npm ci --no-audit --no-fund
	CHOWK_BIN=$(CURDIR)/bin/chowk $(GO) run ./cmd/chowk-lab with-postgres npm --prefix test/browser test

.PHONY: web
web: ## Build the page into web/dist (committed, so that Go alone builds the binary)
	cd web && npm ci --no-audit --no-fund && npm run build

.PHONY: check-web
check-web: web ## Check that the committed page is what its source makes
	@git diff --exit-code --stat -- web/dist && test -z "$$(git status --porcelain -- web/dist)"

.PHONY: generate
generate: ## Write the dashboard from the definitions of the metrics, and the chart's copy of the alerts
	$(GO) run ./deploy/gen

.PHONY: lint
lint: ## Lint Go code and workflows
	$(TOOL) golangci-lint run --allow-parallel-runners ./...
	@# By itself: its libraries do not go together with the ones above.
	$(GO) run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

.PHONY: fmt
fmt: ## Format Go code
	$(TOOL) gofumpt -w bench chat client cmd internal test web/*.go

.PHONY: fuzz
fuzz: ## Fuzz the frame parser against a second implementation for a minute
	$(GO) test -run '^$$' -fuzz FuzzParser -fuzztime 60s ./internal/frame

BENCH ?=
.PHONY: bench-db
bench-db: ## Measure the way into both databases (BENCH='-run hot -seconds 8'; -list lists the steps)
	@mkdir -p bin
	$(GO) build -o bin/benchdb ./bench/db
	./bin/benchdb -json bin/bench-db.json $(BENCH)

.PHONY: bench-ops
bench-ops: build ## Measure restarts, stalls, storms, floods and metrics (BENCH='-run stall'; -list lists the steps)
	$(GO) build -o bin/benchops ./bench/ops
	./bin/benchops -binary bin/chowk -json bin/bench-ops.json $(BENCH)

.PHONY: bench-sockets
bench-sockets: build ## Measure sockets beside other libraries (BENCH='-run idle -servers chowk,gws'; -help lists flags)
	cd bench/sockets && $(GO) build -o $(CURDIR)/bin/benchsockets .
	./bin/benchsockets -json bin/bench-sockets.json $(BENCH)

.PHONY: bench-incident
bench-incident: build ## The incident three ways, on a PostgreSQL of its own; draws docs/img/incident.svg
	@mkdir -p docs/img
	$(GO) run ./cmd/chowk-lab incident --chowk bin/chowk --svg docs/img/incident.svg --html bin/incident.html --json bin/incident.json $(BENCH)

.PHONY: snapshot
snapshot: ## Make the archives of a release in dist/ (needs jq; the first time builds goreleaser and syft)
	@./tools/release.sh --snapshot

.PHONY: test-release
test-release: ## Make the archives twice, as different people in different folders, and compare; install one and run it
	@./test/release/test.sh

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist
