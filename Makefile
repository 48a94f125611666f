# Parley's house work. `make` lists the targets. Everything beyond Go itself is
# built from pinned versions, so a fresh clone needs only Go and make, and for
# `make lint` and `make e2e` Node.js 18 or newer with npm.

SHELL := bash
BIN   := $(CURDIR)/.bin
E2E   := test/e2e
# The modules with code of ours: the product, its end-to-end tests, and the servers
# that the tests of the MongoDB store and of the bus bring along.
LINTED := . $(E2E) test/mongod/server test/deploy test/natsd/server
# The linters of the API documents, from npm.
NPM      := $(BIN)/contracts
SPECTRAL := $(NPM)/node_modules/.bin/spectral

# Counted, not timed: a timed run can end in a deadline of its own.
FUZZTIME  ?= 100000x
BENCHTIME ?= 1s

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## serve on this machine with the embedded store and two demo users
	go run ./cmd/parley serve --dev

.PHONY: build
build: ## build .bin/parley
	go build -o $(BIN)/parley ./cmd/parley

# Tests bound what they do by counting it, so that a slow machine does the same and
# takes longer. Therefore go test has no time limit here.
GO_TEST := go test -timeout 0

# Where make can, it keeps the output of each part of a parallel run together.
TOGETHER := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: test
test: test-prepare ## all tests with the race detector, the end-to-end suite on both stores included
	@echo "Four parts run at once: the unit tests, the end-to-end suite on either store, and the TypeScript client. Each shows its output when it has ended."
	@$(MAKE) --no-print-directory -j4 $(TOGETHER) test-unit e2e e2e-mongo test-client

# What several parts need is built once, before them: two go commands that run at the
# same time both build it.
.PHONY: test-prepare
test-prepare:
	@test -n "$$PARLEY_TEST_MONGO_URI" || go run ./test/mongod/build >/dev/null
	@go build -race -o $(BIN)/parley-race ./cmd/parley
	@go build -o $(BIN)/parley-plain ./cmd/parley

.PHONY: test-unit
test-unit: test-prepare ## the tests of all packages, without the end-to-end suite
	PARLEY_BINARY=$(BIN)/parley-race $(GO_TEST) -race ./...
	cd test/deploy && $(GO_TEST) ./...

# What the tests of the TypeScript client install stays beside it, and is ignored by git.
CLIENT         := client/js
CLIENT_MODULES := $(CLIENT)/node_modules/.installed
NEW_NODE       := $(shell node -e 'process.stdout.write(+process.versions.node.split(".")[0] >= 20 ? "yes" : "")' 2>/dev/null)

.PHONY: test-client
test-client: test-prepare $(if $(NEW_NODE),$(CLIENT_MODULES)) ## the TypeScript client against the real binary; it needs Node.js 20 or newer with npm
ifeq ($(NEW_NODE),)
	@echo "skipped: the tests of the TypeScript client need Node.js 20 or newer"
else
	cd $(CLIENT) && npm run --silent check && PARLEY_BINARY=$(BIN)/parley-race npm run --silent test
endif

$(CLIENT_MODULES): $(addprefix $(CLIENT)/, package.json package-lock.json .npmrc)
	cd $(CLIENT) && npm ci
	@touch $@

.PHONY: generate
generate: $(CLIENT_MODULES) ## what is made of contracts/*.yaml and docs/contract.md: the types of the TypeScript client, and the pages of /docs
	cd $(CLIENT) && npm run --silent generate && npm run --silent docs

# Never cached: go test does not see that the server changed. Its tests that run in
# parallel mostly wait. The server has the race detector. Its clients have none, which would
# take most of the time to read what they get; test-long's hammer has it for them.
E2E_TEST = cd $(E2E) && PARLEY_E2E_BINARY=$(BIN)/parley-race $(GO_TEST) -count=1 -parallel 8 ./...

.PHONY: e2e
e2e: export PARLEY_E2E_STORE = pebble
e2e: test-prepare ## the end-to-end suite against the real binary, with the embedded store
	$(E2E_TEST)

.PHONY: e2e-mongo
e2e-mongo: export PARLEY_E2E_STORE = mongodb
e2e-mongo: test-prepare $(if $(NEW_NODE),$(CLIENT_MODULES)) ## the same on a MongoDB-compatible test server, or on that of PARLEY_TEST_MONGO_URI
	$(E2E_TEST)

# How long test-long may take. It runs one history at least.
LONG_MINUTES ?= 20

.PHONY: test-long
test-long: test-prepare $(if $(NEW_NODE),$(CLIENT_MODULES)) ## the model's 20 long histories on each store, as many as LONG_MINUTES (20) allow, the hammer's long backlog, the hammer with many steps of the clock, users with 3,000 threads, every fault of a cluster, and the page with 10,000 messages
	cd test/model && $(GO_TEST) -race -count=1 -run '^Test(Pebble|MongoDB)$$' \
	  -model.histories 20 -model.operations 2000 -model.budget $(LONG_MINUTES)m
	$(GO_TEST) -race -count=1 -run '^TestModel$$' ./store/pebble ./store/mongo -storetest.times 3
	$(GO_TEST) -race -count=1 -run '^Test(CommandsOfBigUsers|CostsOfOwnStates)$$' ./store/mongo -users.threads 3000
	cd $(E2E) && PARLEY_E2E_STORE=pebble PARLEY_E2E_LONG=1 $(GO_TEST) -race -count=1 -run '^Test(Hammer(WithAClockThatIsSet)?|ManyFiltersOfPresenceHoldNobodyUp)$$' .
	cd $(E2E) && PARLEY_E2E_STORE=mongodb PARLEY_E2E_LONG=1 $(GO_TEST) -race -count=1 -parallel 4 -run '^Test(Cluster|CostOfSeveralNodes|CostOfARepair)' .
ifneq ($(NEW_NODE),)
	cd $(CLIENT) && PARLEY_LONG=1 PARLEY_BINARY=$(BIN)/parley-race npm run --silent test -- test/long.test.ts
endif

.PHONY: lint
lint: $(BIN)/golangci-lint lint-contracts ## formatting, vet, the linters of .golangci.yml, and lint-contracts
	@out="$$($(BIN)/gofumpt -l .)"; test -z "$$out" || { echo "not gofumpt-formatted:"; echo "$$out"; exit 1; }
	@set -e; for module in $(LINTED); do (cd $$module && echo "lint $$module" && $(BIN)/golangci-lint run --config $(CURDIR)/.golangci.yml ./...); done

.PHONY: lint-contracts
lint-contracts: $(SPECTRAL) ## openapi.yaml and asyncapi.yaml against contracts/.spectral.yaml, and AsyncAPI's own parser
	@echo "lint contracts/*.yaml"
	@node $(NPM)/asyncapi.mjs contracts/asyncapi.yaml
	@$(SPECTRAL) lint --quiet --ruleset contracts/.spectral.yaml --fail-severity warn contracts/openapi.yaml contracts/asyncapi.yaml

.PHONY: fmt
fmt: $(BIN)/golangci-lint ## format the code
	$(BIN)/gofumpt -w .

# What a build is called: the tag it is of, or how far it is from one.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

.PHONY: compose
compose: ## two nodes with MongoDB, NATS and proxies on this machine, with Docker: https://localhost and mqtts://localhost:8883
	@deploy/compose/prepare.sh
	VERSION=$(VERSION) COMMIT=$(COMMIT) docker compose -f deploy/compose/compose.yaml up --build

.PHONY: release
release: ## archives for Linux and macOS in dist/, each with its SBOM, and the checksums; VERSION is that of git
	@deploy/release.sh $(VERSION)

.PHONY: bench
bench: ## load on a real server, side by side with mosquitto if installed: a Markdown table, in under 10 minutes
	@deploy/bench/run.sh

.PHONY: bench-go
bench-go: ## every benchmark in the code, with allocations
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each
	@set -e; grep -rlE --include='*_test.go' '^func Fuzz' . | while read -r file; do \
	  package=$$(dirname "$$file"); \
	  grep -oE '^func Fuzz[A-Za-z0-9_]*' "$$file" | awk '{print $$2}' | while read -r target; do \
	    echo "fuzz $$package $$target"; \
	    go test "$$package" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) </dev/null; \
	  done; \
	done

# One rule for both tools: `go build -o DIR/ tool` builds all that deploy/tools names.
$(BIN)/golangci-lint: deploy/tools/go.mod deploy/tools/go.sum
	@mkdir -p $(BIN)
	cd deploy/tools && go build -o $(BIN)/ tool
	@touch $@

# npm installs beside the documents it is given: a copy keeps its thousands of
# files out of the source tree.
$(SPECTRAL): $(addprefix deploy/tools/contracts/, package.json package-lock.json .npmrc asyncapi.mjs)
	@command -v npm >/dev/null || { echo "linting the API documents needs Node.js 18 or newer with npm"; exit 1; }
	@mkdir -p $(NPM)
	cp $^ $(NPM)/
	cd $(NPM) && npm ci
	@touch $@
