# Everything a newcomer needs is `make run` and `make test`; `make help` lists the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUF_DIR := .ci/buf
BUF := $(BUF_DIR)/node_modules/.bin/buf
IMPORTS := build/protos.stamp
CONSOLE := console/node_modules/.package-lock.json
CHROMIUM := $(or $(PDP_TEST_CHROMIUM),/usr/bin/chromium)
BASELINE := proto/baseline.binpb
GENERATED := pdp/_gen clients/python/pdp_client/_gen clients/go/gen clients/typescript/src/gen \
  console/src/api pdp/console/dist
NATIVE_TESTS := tests/unit/test_grpc_server.py tests/unit/test_grpc_fronts.py \
  $(addprefix tests/e2e/,test_grpc.py test_grpc_fronts.py test_decision_cases.py test_access.py \
  test_access_streams.py test_envoy_server.py test_faults_process.py test_large_messages.py \
  test_limits.py test_local_pep.py test_payload_streams.py test_serve.py test_text_streams.py \
  test_tokens.py test_vanished_peers.py test_workers.py test_agentgateway.py test_payloads.py)
HELM_VERSION := v3.22.0
HELM := build/helm/$(HELM_VERSION)/helm
COMPOSE_VERSION := v2.16.2
COMPOSE := build/compose/$(COMPOSE_VERSION)/compose
DEV_EXTRAS := ner gliner kafka otel postgres valkey parquet
PIP := $(BIN)/pip --quiet --disable-pip-version-check
IMAGE_EXTRAS := kafka otel postgres valkey
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header \
  --no-emit-index-url --no-emit-find-links --upgrade --python-version 3.11

## Use
.PHONY: run
run: $(VENV)/run.stamp ## Serve gRPC on 127.0.0.1:50051 and HTTP on 127.0.0.1:8080, in development mode
	@PDP_AUTH=$${PDP_AUTH:-dev} exec $(BIN)/pdp serve

.PHONY: demo
demo: $(VENV)/run.stamp ## Send chats through a real Envoy: redacted, refused, streamed; installs Envoy in build/
	@$(BIN)/python -m demo

.PHONY: cluster-demo
cluster-demo: $(VENV)/dev.stamp ## Kill one of three replicas on PostgreSQL under load; print what is lost
	@$(BIN)/python -m demo.cluster

.PHONY: test
test: $(VENV)/dev.stamp ## Run all tests
	$(BIN)/pytest -n auto --dist worksteal -q $(ARGS)

.PHONY: test-programs
test-programs: $(VENV)/dev.stamp ## Run the tests with programs of others: clients in Java, Go, Node; gateways
	$(BIN)/pytest -m programs -n 2 -q $(ARGS)

.PHONY: test-image
test-image: $(VENV)/dev.stamp ## Build the container image and run it; needs root, buildah, mmdebstrap, runc
	$(BIN)/pytest -m image -q $(ARGS)

.PHONY: test-deploy
test-deploy: $(VENV)/dev.stamp $(HELM) $(COMPOSE) ## Render the Helm chart; check it, Compose and alert rules
	PDP_TEST_HELM=$(HELM) PDP_TEST_COMPOSE=$(COMPOSE) $(BIN)/pytest -m deploy -q $(ARGS)

.PHONY: test-spark
test-spark: $(VENV)/spark.stamp ## Run the tests of replays on Spark, and of the queries with DuckDB; needs Java 17
	$(BIN)/pytest -m spark -q $(ARGS)

.PHONY: clients
clients: contracts protos ## Build and test the clients; needs Go, Node.js, a JDK and Maven, or leaves them out
	$(BIN)/python -m tools.clients check
	$(BIN)/pytest -m clients -q $(ARGS)

.PHONY: console
console: $(VENV)/dev.stamp $(CONSOLE) ## Check and test the console; needs Node.js 20, and Chromium for its stories
	cd console && npm run --silent lint && npm run --silent types && npm test && npm run --silent size
	@if test -x $(CHROMIUM); then cd console && npm run e2e; \
	elif test -n "$$CI"; then echo "the stories of the console need $(CHROMIUM)"; exit 1; \
	else echo "left out: the stories of the console need $(CHROMIUM); PDP_TEST_CHROMIUM names another one"; fi

.PHONY: fast
fast: $(VENV)/fast.stamp ## Build and install the fast gRPC front, for PDP_GRPC_SERVER; needs cargo

.PHONY: test-native
test-native: $(VENV)/dev.stamp $(VENV)/fast.stamp ## Run the tests of gRPC and of decisions on the fast front
	PDP_TEST_GRPC_SERVER=native $(BIN)/pytest -n auto --dist worksteal -q $(NATIVE_TESTS) $(ARGS)

.PHONY: bench
bench: $(VENV)/dev.stamp ## Measure Decide against an empty echo server, then the engine alone
	@$(BIN)/python -m bench $(ARGS)

.PHONY: bench-audit
bench-audit: $(VENV)/dev.stamp ## Measure what recording every decision costs
	@$(BIN)/python -m bench.audit

.PHONY: bench-cost
bench-cost: $(VENV)/dev.stamp ## Measure the processor time of a decision: calls, streams, batches, HTTP
	@$(BIN)/python -m bench.cost $(ARGS)

.PHONY: bench-replicas
bench-replicas: $(VENV)/dev.stamp ## Measure how long until a change is in force in all replicas on PostgreSQL
	@$(BIN)/python -m bench.replicas $(ARGS)

.PHONY: bench-records
bench-records: $(VENV)/dev.stamp ## Measure how fast replicas append to one log of records in PostgreSQL
	@$(BIN)/python -m bench.shared_records $(ARGS)

.PHONY: bench-local
bench-local: $(VENV)/dev.stamp ## Measure the processor time of a decision of the Python client in its own process
	@PYTHONPATH=clients/python $(BIN)/python -m bench.local

.PHONY: bench-limits
bench-limits: $(VENV)/dev.stamp ## Measure what limits cost a decision, by where their counters are
	@$(BIN)/python -m bench.limits

.PHONY: bench-console
bench-console: $(VENV)/dev.stamp $(CONSOLE) ## Measure the console with 10,000 records and 5,000 policies; needs Chromium
	cd console && npm run --silent measure

.PHONY: bench-neighbours
bench-neighbours: $(VENV)/dev.stamp ## Measure what a busy tenant costs a quiet one
	@$(BIN)/python -m bench.neighbours $(ARGS)

.PHONY: bench-instructions
bench-instructions: $(VENV)/dev.stamp ## Count the instructions of fixed work; fail if they have risen
	@$(BIN)/python -m bench.instructions

.PHONY: record-instructions
record-instructions: $(VENV)/dev.stamp ## Record the counts that `make bench-instructions` compares with
	@$(BIN)/python -m bench.instructions --record

.PHONY: bench-peers
bench-peers: $(VENV)/bench.stamp ## Compare with Cerbos, OPA, OpenFGA, Cedar, Presidio; write docs/benchmarks.md
	@$(BIN)/python -m bench.peers $(ARGS)

.PHONY: bench-growth
bench-growth: $(VENV)/bench.stamp ## Measure how cost grows with texts, rules, tenants, records; write docs/growth.md
	@$(BIN)/python -m bench.growth $(ARGS)

.PHONY: bench-replay
bench-replay: $(VENV)/spark.stamp ## Measure replays of 100,000 records: all cores, and Spark; needs Java 17
	@$(BIN)/python -m bench.replay $(ARGS)

.PHONY: blind-spots
blind-spots: $(VENV)/dev.stamp ## Print recall and precision on cases of what slips past guardrails
	@$(BIN)/python -m bench.blind_spots $(ARGS)

.PHONY: accuracy
accuracy: $(VENV)/dev.stamp ## Print what the system policies and the detectors find, beside Presidio
	@$(BIN)/python -m bench.accuracy $(ARGS)
	@$(BIN)/python -m bench.blind_spots

.PHONY: soak
soak: $(VENV)/dev.stamp ## Run the kill loops and fuzz targets for long; reports, does not gate
	-PDP_SOAK=1 PDP_SOAK_ROUNDS=$${PDP_SOAK_ROUNDS:-300} $(BIN)/pytest -q -m "soak or hypothesis" $(ARGS)

.PHONY: audit
audit: $(VENV)/dev.stamp sbom ## Check offline that dependencies are pinned and installed as pinned
	$(BIN)/python requirements/audit.py
	$(BIN)/pip check --disable-pip-version-check

.PHONY: sbom
sbom: $(VENV)/dev.stamp ## Write dist/sbom.json (CycloneDX) from the pinned dependencies
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements requirements/run.txt --pyproject pyproject.toml \
	  --output-reproducible --of JSON --output-file dist/sbom.json

## Develop
.PHONY: lint
lint: $(VENV)/dev.stamp $(BUF) $(IMPORTS) ## Check style, imports and contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m tools.prose
	$(BUF) lint
	$(BUF) format --diff --exit-code --path proto/pdp
	$(BUF) breaking proto --against $(BASELINE)

.PHONY: types
types: $(VENV)/dev.stamp ## Check types
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/dev.stamp $(BUF) $(IMPORTS) ## Format code and contracts
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BUF) format --write --path proto/pdp

.PHONY: generate
generate: $(VENV)/dev.stamp $(BUF) $(IMPORTS) $(CONSOLE) ## Generate stubs, openapi.json, the bundle of the console
	$(BIN)/python -m tools.generate
	$(BIN)/python -m tools.clients generate
	cd console && npm run --silent generate && npm run --silent build -- --logLevel warn

.PHONY: protos
protos: $(IMPORTS) ## Write the contracts and what they import to dist/protos, for protoc and buf
	$(BIN)/python -m tools.protos tree

.PHONY: contracts
contracts: $(VENV)/dev.stamp $(IMPORTS) ## Write dist/contracts.binpb, from which the clients generate stubs
	@$(BIN)/python -m tools.generate contracts

# `make lint` fails if a change to proto/ breaks clients of the contracts as they were at the last
# `make baseline`. Run it after each release, so that what was released cannot break, and after an
# intended break; commit the file with a message that says why. The image holds the descriptors of
# the imports too, because buf cannot compare an image that lacks them.
.PHONY: baseline
baseline: $(BUF) $(IMPORTS) ## Record the contracts that `make lint` compares later changes with
	$(BUF) build proto --exclude-source-info --output $(BASELINE)

.PHONY: check-generated
check-generated: generate ## Fail if generated code is stale
	@git diff --exit-code --stat -- $(GENERATED) \
	  || { echo "generated code is stale: run 'make generate' and commit"; exit 1; }
	@test -z "$$(git status --porcelain -- $(GENERATED))" \
	  || { echo "generated files are not committed"; exit 1; }

.PHONY: lock
lock: $(VENV)/dev.stamp ## Pin the newest allowed versions, with hashes
	$(COMPILE) --group build pyproject.toml --output-file requirements/run.txt
	$(COMPILE) --group build --group dev $(DEV_EXTRAS:%=--extra %) pyproject.toml \
	  --constraint requirements/run.txt --output-file requirements/dev.txt
	$(COMPILE) $(addprefix --extra ,$(IMAGE_EXTRAS)) pyproject.toml \
	  --constraint requirements/dev.txt --output-file requirements/image.txt
	$(COMPILE) --group image --constraint requirements/dev.txt \
	  --output-file requirements/image-build.txt
	$(COMPILE) --group bench --constraint requirements/dev.txt --output-file requirements/bench.txt
	$(COMPILE) --group spark --extra spark pyproject.toml \
	  --constraint requirements/dev.txt --output-file requirements/spark.txt
	for file in requirements/*.in; do \
	  $(COMPILE) $$file --output-file $${file%.in}.txt || exit 1; \
	done

.PHONY: manifests
manifests: $(VENV)/dev.stamp $(HELM) ## Write deploy/kubernetes from the Helm chart
	$(BIN)/python -m tools.manifests $(HELM)

.PHONY: image
image: ## Build the container image; PYTHON_IMAGE=NAME@sha256:… pins its base, ARGS=… are of docker
	docker build $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) --tag pdp $(ARGS) .

.PHONY: clean
clean: ## Remove what was built and installed; keeps var/
	rm -rf $(VENV) $(BUF_DIR)/node_modules console/node_modules console/artifacts build dist \
	  .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^## / {printf "\n%s\n", substr($$0, 4)} \
	  /^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing requirements/run.txt"
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "installing requirements/dev.txt"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/bench.stamp: requirements/bench.txt $(VENV)/dev.stamp
	@echo "installing requirements/bench.txt"
	@$(PIP) install --require-hashes -r requirements/bench.txt
	@touch $@

$(VENV)/spark.stamp: requirements/spark.txt $(VENV)/dev.stamp
	@echo "installing requirements/spark.txt"
	@$(PIP) install --require-hashes -r requirements/spark.txt
	@touch $@

$(VENV)/fast.stamp: requirements/fast.txt tools/fast.py pdp/transport/grpc/limits.py | $(VENV)/run.stamp
	@echo "building requirements/fast.txt"
	@$(BIN)/python -m tools.fast
	@touch $@

# It takes ten minutes, so it leaves the machine to others.
$(HELM):
	@command -v go >/dev/null || { echo "helm is built with Go: install Go 1.24+ for this target"; exit 1; }
	@echo "building helm $(HELM_VERSION), once"
	@mkdir -p $(@D)
	GOBIN=$(CURDIR)/$(@D) GOMAXPROCS=1 nice -n 19 go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

# The loader of `docker compose`, which needs no engine.
$(COMPOSE):
	@command -v go >/dev/null || { echo "the loader of Compose is built with Go: install Go 1.24+"; exit 1; }
	@mkdir -p $(@D)
	GOBIN=$(CURDIR)/$(@D) nice -n 19 go install github.com/compose-spec/compose-go/v2/cmd@$(COMPOSE_VERSION)
	mv $(@D)/cmd $@

$(BUF): $(BUF_DIR)/package-lock.json
	@command -v npm >/dev/null || { echo "buf comes from npm: install Node.js 18+ for 'make lint'"; exit 1; }
	cd $(BUF_DIR) && npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

$(CONSOLE): console/package-lock.json
	@command -v npm >/dev/null || { echo "the console is built with npm: install Node.js 20+"; exit 1; }
	cd console && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# The .proto files of other projects that the contracts import. Needs Maven.
$(IMPORTS): tools/protos.py requirements/dev.txt | $(VENV)/dev.stamp
	@mkdir -p $(@D)
	$(BIN)/python -m tools.protos imports
	@touch $@
