# `make run` serves on loopback with SQLite; `make test` runs every test. `make help`
# lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -buildid= -X main.version=$(VERSION)
GO      ?= go
TOOL    := $(GO) tool -modfile=tools/go.mod

.PHONY: help
help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/chowk (needs only Go)
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/chowk ./cmd/chowk

.PHONY: run
run: build ## Build and serve on 127.0.0.1:8080 with SQLite in ./chowk-data
	@./bin/chowk serve

.PHONY: test
test: say-test tools test-go test-web test-browser ## Run every test (10 to 20 minutes); first installs what is missing (sudo apt-get)

.PHONY: say-test
say-test:
	@echo "make test: 10 to 20 minutes on 2 to 4 cores, of which test/e2e alone takes 6 without printing anything."
	@echo "It first installs what is missing: PostgreSQL, Chromium, Node.js, Prometheus, nginx, HAProxy, Caddy, nftables"
	@echo "(apt-get, Debian and Ubuntu) and helm (into bin/tools). For a quick check: make test-short."

.PHONY: test-short
test-short: ## Quick Go tests (about a minute on 2 cores): SQLite only, without those that run the built server
	$(GO) test -short ./...

.PHONY: tools
tools: ## Install what the tests need and is missing: PostgreSQL, Chromium, Node.js, Prometheus, proxies, nftables, helm
	@./tools/install.sh

.PHONY: test-go
test-go: ## Run all Go tests, on both databases, with the race detector
	$(GO) vet ./...
	@# Never from the cache: many tests build the server, and the cache does not know its sources.
	$(GO) test -race -count=1 -timeout 15m ./...
	cd test/envoy && $(GO) test -count=1 ./...

FAULTS_TIME ?= 31s
.PHONY: test-faults
test-faults: ## Inject every fault on both databases and check every message (half an hour)
	@mkdir -p bin && rm -f bin/faults.jsonl
	CHOWK_FAULTS_RESULTS=$(CURDIR)/bin/faults.jsonl CHOWK_FAULTS_TIME=$(FAULTS_TIME) \
		$(GO) test -v -count=1 -timeout 2h ./test/faults/

.PHONY: faults-table
faults-table: ## Write the results of make test-faults into docs/guarantees.md
	$(GO) run ./cmd/chowk-lab faults-table --into docs/guarantees.md --least 2000000 bin/faults.jsonl

.PHONY: test-alerts
test-alerts: ## Check that each alert fires during a real fault and only then (11 minutes)
	@mkdir -p bin
	CHOWK_ALERTS=all CHOWK_ALERTS_TABLE=$(CURDIR)/bin/alerts.md \
		$(GO) test -v -count=1 -timeout 40m ./test/alerts/

.PHONY: test-image
test-image: ## Test the image, compose file and systemd unit with Docker (3 minutes, the first time 8)
	@deploy/containers/engine.sh sh -c 'deploy/containers/test.sh && deploy/containers/unit.sh' || [ $$? -eq 77 ]

# The parts of Kubernetes, built from their modules, and the Prometheus operator's kinds,
# generated from their Go types. One set of flags, so that shared packages compile once.
CLUSTER := etcd=go.etcd.io/etcd/server/v3 kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver \
	kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager \
	controller-gen=sigs.k8s.io/controller-tools/cmd/controller-gen
.PHONY: test-chart
test-chart: export CGO_ENABLED = 0
test-chart: export GOFLAGS += -trimpath
test-chart: ## Test the Helm chart on a real Kubernetes API server (3 minutes, the first time 11)
	@mkdir -p bin/cluster
	@cd test/chart && version=$$($(GO) list -m -f '{{.Version}}' k8s.io/kubernetes) && for p in $(CLUSTER); do \
		echo "building $${p%%=*}"; \
		$(GO) build -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$$version" \
			-o ../../bin/cluster/$${p%%=*} $${p#*=} || exit; \
	done
	@cd test/chart && ../../bin/cluster/controller-gen crd:generateEmbeddedObjectMeta=true \
		output:crd:dir=../../bin/cluster/crds \
		paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1
	cd test/chart && $(GO) vet ./... && $(GO) test -count=1 -parallel 6 -timeout 30m ./...

.PHONY: test-portable
test-portable: ## Test the portable transport on Linux, and check that chowk builds for macOS and Windows
	$(GO) test -race -tags portable ./internal/netpoll/ ./internal/gateway/
	GOOS=darwin $(GO) build ./...
	GOOS=windows $(GO) build ./...

.PHONY: test-web
test-web: ## Run the unit tests of the page and the TypeScript client
	cd sdk/js && npm ci --no-audit --no-fund && npm run check && npm test
	cd web && npm ci --no-audit --no-fund && npm run check && npm test

.PHONY: test-browser
test-browser: build ## Test the page in a real Chromium, including the load test of the incident
	cd test/browser && npm ci --no-audit --no-fund
	CHOWK_BIN=$(CURDIR)/bin/chowk $(GO) run ./cmd/chowk-lab with-postgres npm --prefix test/browser test

.PHONY: web
web: ## Build the page into web/dist (committed, so that building chowk needs only Go)
	cd web && npm ci --no-audit --no-fund && npm run build

.PHONY: check-web
check-web: web ## Check that the committed page matches its source
	@git diff --exit-code --stat -- web/dist && test -z "$$(git status --porcelain -- web/dist)"

.PHONY: generate
generate: ## Generate TypeScript types, JSON Schemas, the protocol's tables and the dashboard
	$(GO) generate ./...

.PHONY: lint
lint: ## Lint Go code and workflows (the first time it compiles golangci-lint, 10 minutes)
	$(TOOL) golangci-lint run --allow-parallel-runners ./...
	@# In a module of its own: its dependencies conflict with the ones above.
	$(GO) run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

.PHONY: fmt
fmt: ## Format Go code with gofumpt
	$(TOOL) gofumpt -w bench chat client cmd internal test web/*.go

# Modules of their own that compile quickly, and those of which only go.mod is checked:
# test/chart compiles Kubernetes, tools golangci-lint and tools/docker Docker.
MODULES := bench/sockets internal/testkit/powercut test/envoy
HEAVY_MODULES := test/chart tools tools/docker
.PHONY: check-modules
check-modules: ## Build and vet every Go module; of the heavy ones, check only go.mod and imports
	@for m in $(MODULES); do \
		echo "$$m: build, vet" && (cd $$m && $(GO) build -o /dev/null ./... && $(GO) vet ./...) || exit; \
	done
	@for m in . $(MODULES) $(HEAVY_MODULES); do echo "$$m: go.mod" && (cd $$m && $(GO) mod tidy -diff) || exit; done

.PHONY: fuzz
fuzz: ## Fuzz the frame parser for a minute, against a second implementation
	$(GO) test -run '^$$' -fuzz FuzzParser -fuzztime 60s ./internal/frame

BENCH ?=
.PHONY: bench-db
bench-db: ## Measure writes to both databases (BENCH='-run hot -seconds 8'; -list lists the steps)
	@mkdir -p bin
	$(GO) build -o bin/benchdb ./bench/db
	./bin/benchdb -json bin/bench-db.json $(BENCH)

.PHONY: bench-ops
bench-ops: build ## Measure restarts, stalls, reconnect storms and floods (BENCH='-run stall'; -list lists the steps)
	$(GO) build -o bin/benchops ./bench/ops
	./bin/benchops -binary bin/chowk -json bin/bench-ops.json $(BENCH)

.PHONY: bench-sockets
bench-sockets: build ## Compare sockets with other libraries (BENCH='-run idle -servers chowk,gws'; -help)
	cd bench/sockets && $(GO) build -o $(CURDIR)/bin/benchsockets .
	./bin/benchsockets -json bin/bench-sockets.json $(BENCH)

.PHONY: bench-incident
bench-incident: build ## Replay the incident three ways, on a PostgreSQL of its own, and draw docs/img/incident.svg
	@mkdir -p docs/img
	$(GO) run ./cmd/chowk-lab incident --chowk bin/chowk --svg docs/img/incident.svg --html bin/incident.html \
		--json bin/incident.json $(BENCH)

BASE ?=
STEPS ?= db:1000-channels,db:hot-channel
.PHONY: bench-compare
bench-compare: ## Compare with a commit (BASE=main STEPS=db:hot-channel,sockets:echo; 5 minutes)
	@mkdir -p bin
	$(GO) run ./bench/compare -base "$(BASE)" -steps '$(STEPS)' -json bin/bench-compare.json $(BENCH)

.PHONY: snapshot
snapshot: ## Build the archives of a release in dist/ (needs jq; the first time it builds goreleaser and syft)
	@./tools/release.sh --snapshot

.PHONY: test-release
test-release: ## Build the archives twice, in different directories, and compare; run one
	@./test/release/test.sh

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist
