# People, hooks and CI call the same targets; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check
STAMPS := $(VENV)/.stamps

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
PYTHON ?= $(firstword $(foreach p,$(CANDIDATES),$(shell $(p) -c '$(NEW_ENOUGH)' 2>/dev/null && echo $(p))))

NATIVE_SOURCES := $(shell find native -name target -prune -o -type f -print 2>/dev/null)
KAFKA_JARS := tests/kafka/target/jars/.complete
VALIDATOR := tests/validate/target/validate
CARGO := $(shell command -v cargo 2>/dev/null)
CRATE := --quiet --locked --manifest-path native/Cargo.toml
ONE_CORE := $(shell command -v taskset >/dev/null 2>&1 && echo taskset -c 0)

.PHONY: help setup demo test chaos check format lint types imports native-lint native-test sizes dist bench bench-options bench-cores bench-kafka bench-memory bench-remote-write lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 24

setup: $(STAMPS)/package $(STAMPS)/native ## make .venv: pinned dependencies, spanmill, the native extension

demo: setup ## watch the whole chain work (DURATION=20: for 20 seconds)
	@$(VENV)/bin/spanmill demo $(if $(DURATION),--duration $(DURATION))

test: setup $(if $(ARGS),,native-test) $(KAFKA_JARS) $(VALIDATOR) ## run the tests (ARGS="-k name": only pytest's of that name)
	@$(PY) -m pytest $(ARGS)

chaos: setup $(KAFKA_JARS) ## attack workers under load and check every number; prints JSON (KILLS=10 SECONDS=120 SEED=1)
	@$(PY) -m tests.chaos $(if $(KILLS),--kills $(KILLS)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(SEED),--seed $(SEED)) $(ARGS)

check: format lint types imports native-lint sizes ## format, lint, types, import walls, sizes

bench: setup ## measure on one core; prints JSON
	@$(ONE_CORE) $(PY) -m benchmarks $(ARGS)

bench-options: setup ## measure what each option costs alone, on one core; prints JSON
	@$(ONE_CORE) $(PY) -m benchmarks.options $(ARGS)

bench-cores: setup ## measure what a second core gives a worker that lags; prints JSON
	@$(PY) -m benchmarks.second_core $(ARGS)

bench-kafka: setup $(KAFKA_JARS) ## measure a worker that reads a real Kafka; prints JSON
	@$(PY) -m benchmarks.kafka $(ARGS)

bench-remote-write: setup ## measure a million series to a slow receiver; prints JSON
	@$(PY) -m benchmarks.remote_write $(ARGS)

bench-memory: setup ## measure what series cost to hold, collect and write; prints JSON
	@$(PY) -m benchmarks.memory $(ARGS)

dist: setup ## wheels and source archives of spanmill and spanmill-native, in dist/
	@rm -rf dist
	@$(VENV)/bin/hatchling build --directory dist
	@$(if $(CARGO),$(VENV)/bin/maturin build --release $(CRATE) --interpreter $(PY) --out dist)
	@$(if $(CARGO),$(VENV)/bin/maturin sdist --manifest-path native/Cargo.toml --out dist)
	@ls dist

.PHONY: picture
picture: setup ## renew the picture of the page in the README (wants Chromium)
	@$(PY) -m tests.browser.picture docs/images/page.png

lock: $(STAMPS)/dependencies ## renew requirements.lock after pyproject.toml (UPGRADE=1: newest versions)
	@scripts/lock.sh "$(PY)" $(if $(UPGRADE),,--keep)

clean: ## back to a fresh clone: remove .venv and everything built
	rm -rf $(VENV) native/target tests/kafka/target tests/validate/target dist .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

format: $(STAMPS)/dependencies
	@$(VENV)/bin/ruff format --check

lint: $(STAMPS)/dependencies
	@$(VENV)/bin/ruff check

types: setup
	@$(VENV)/bin/mypy

imports: setup
	@$(VENV)/bin/lint-imports

native-lint: $(STAMPS)/dependencies
	@$(if $(CARGO),cargo fmt --manifest-path native/Cargo.toml --check)
	@$(if $(CARGO),PYO3_PYTHON="$(CURDIR)/$(PY)" cargo clippy $(CRATE) --all-targets -- -D warnings)

native-test:
	@$(if $(CARGO),cargo test $(CRATE) --no-default-features)

sizes: setup
	@$(PY) -m pytest -q tests/unit/test_tidy.py

$(VENV)/bin/pip:
	@test -n "$(PYTHON)" || { echo "spanmill needs Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' || { echo "$(PYTHON) is older than Python 3.11: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)

$(STAMPS)/dependencies: requirements.lock | $(VENV)/bin/pip
	@echo "installing the pinned dependencies into $(VENV)"
	@$(PIP) install --requirement requirements.lock
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/package: pyproject.toml $(STAMPS)/dependencies
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# A build that failed leaves no stamp, so the next make tries again.
$(STAMPS)/native: $(NATIVE_SOURCES) scripts/build-native.sh $(STAMPS)/dependencies
	@scripts/build-native.sh "$(PY)" $@

# Not fatal: the tests that need a broker say themselves why they cannot run.
$(KAFKA_JARS): tests/kafka/pom.xml | $(STAMPS)/package
	@$(PY) -m tests.support.kafka_broker

$(VALIDATOR): $(wildcard tests/validate/*.go tests/validate/go.*)
	@scripts/build-validator.sh $@
