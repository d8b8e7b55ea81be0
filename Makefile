# Every command here runs on the Node version of package.json, whatever the machine has; npm alone runs on the machine's own.
# `make help` lists the targets.

MACHINE_PATH := $(PATH)
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

BIN := node_modules/.bin
INSTALLED := node_modules/.installed
BUNDLE := build/cli/main.js

# A test that hangs fails. Two files at a time keep two cores busy while one of them waits for a flush.
JOBS ?= 2
TEST := $(BIN)/node --test --test-concurrency=$(JOBS) --test-timeout=180000
# FILES narrows a run: make test FILES='src/core/*.test.ts'
FILES ?= {src,bench}/**/!(*.slow|*.service).test.ts

.DEFAULT_GOAL := help
.PHONY: help demo test test-service test-all nightly coverage check types lint format-check dead-code package format bench profile tck-run clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

$(INSTALLED): package.json package-lock.json .npmrc
	@echo "npm ci"
	@PATH="$(MACHINE_PATH)" npm ci --ignore-scripts --loglevel=error
	@touch $@

$(BUNDLE): $(INSTALLED) scripts/bundle.ts $(shell find src -name '*.ts' ! -name '*.test.ts')
	@$(BIN)/node scripts/bundle.ts

demo: $(BUNDLE) ## store a real conformance run and thousands of files, read them back, compare every byte
	@$(BIN)/node scripts/demo.ts

test: $(INSTALLED) ## the tests that need nothing but npm (FILES=... narrows)
	$(TEST) '$(FILES)'

test-service: $(INSTALLED) ## tests that need system packages or services; skipped by name where those are missing
	$(TEST) '{src,bench}/**/*.service.test.ts'

test-all: $(INSTALLED) ## both of the above
	$(TEST) '{src,bench}/**/!(*.slow).test.ts'

nightly: $(BUNDLE) ## everything, with many more cycles and random histories
	ARTIFACT_STORE_CRASHES=200 ARTIFACT_STORE_POWER_CUTS=200 ARTIFACT_STORE_HISTORIES=1000 ARTIFACT_STORE_DAMAGES=200 ARTIFACT_STORE_STOPS=200 \
	ARTIFACT_STORE_CROWD_SECONDS=60 ARTIFACT_STORE_SOAK_SECONDS=1800 ARTIFACT_STORE_SCHEDULES=500 ARTIFACT_STORE_INTERRUPTIONS_EVERY=1 ARTIFACT_STORE_FOLLOWERS=10000 ARTIFACT_STORE_FUZZ_EXAMPLES=300 ARTIFACT_STORE_MUTATIONS=100000 $(TEST) --test-timeout=7200000 '{src,bench}/**/*.test.ts'
	NIGHTLY=1 $(BIN)/node bench/bench.ts $(ARGS)

coverage: $(INSTALLED) ## test, with a table of what no test reaches
	$(TEST) --experimental-test-coverage --test-coverage-include='src/**' --test-coverage-exclude='src/**/*.test.ts' '$(FILES)'

check: types lint format-check dead-code package ## types, lint, format, dead code, package contents, architecture
	$(TEST) src/architecture.test.ts

types: $(INSTALLED)
	$(BIN)/tsc -p tsconfig.json

lint: $(INSTALLED)
	$(BIN)/oxlint

format-check: $(INSTALLED)
	$(BIN)/oxfmt --check

dead-code: $(INSTALLED)
	$(BIN)/knip

package: $(INSTALLED) ## build dist/ and check what npm would publish
	rm -rf dist
	$(BIN)/tsc -p tsconfig.build.json
	$(BIN)/publint run --strict --pack npm

format: $(INSTALLED) ## format all sources
	$(BIN)/oxfmt

bench: $(BUNDLE) ## compare with other ways to keep files (ARGS=--list shows the rows, ARGS=--all brings restic, borg and growth, ROWS=... narrows)
	$(BIN)/node bench/bench.ts $(ARGS)

profile: $(BUNDLE) ## where the time of one benchmark goes: make profile SCENARIO=small
	@$(BIN)/node bench/profile.ts $(SCENARIO)

OUTPUT ?=
tck-run: $(INSTALLED) ## run the CMIS conformance kit (needs Java and Maven): make tck-run OUTPUT=/tmp/run
	@test -n "$(OUTPUT)" || { echo "make tck-run OUTPUT=DIR" >&2; exit 2; }
	@$(BIN)/node producers/guide-board/cmis-tck/run.ts "$(OUTPUT)"

clean: ## remove what was built or measured
	rm -rf build dist coverage .profile .scratch
