# `make demo` and `make test` set up all they need, in .venv, once. ARGS goes to what is run:
#   make demo ARGS="--dataset DIR"      make test ARGS="-k histogram"
# PYTHON names the interpreter when the first one found is not to be taken.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test k8s-test image-test torture fuzz lint format bench schemas manifests constraints clean

BIN := .venv/bin
READY := .venv/.ready
CANDIDATES := $(or $(PYTHON),python3.11 python3.12 python3.13 python3)

help: ## Say what there is
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1|/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r target text; do printf '  make %-12s %s\n' "$$target" "$$text"; done

demo: $(READY) ## Run the whole loop on this machine: photos and sales in, prices out
	@$(BIN)/secondsight demo $(ARGS)

test: $(READY) ## Check the generated contract, then run all tests on a real Kafka
	@$(BIN)/secondsight schemas --check
	@$(BIN)/python -m deploy.generate --check
	@$(BIN)/python -m pytest $(ARGS)

k8s-test: $(READY) ## Apply the manifests to a real Kubernetes API server, built by Go at first
	@$(BIN)/python -m tests.deploy.toolchain
	@$(BIN)/python -m pytest -m cluster tests/deploy $(ARGS)

image-test: $(READY) ## Build the image as root with buildah and run it: 4 minutes, 3 GB
	@$(BIN)/python -m pytest -m image --timeout 1200 tests/deploy $(ARGS)

torture: $(READY) ## Kill stats workers at every step, then recount everything: KILLS=200 SEED=7
	@$(BIN)/python -m tests.torture --kills $(or $(KILLS),200) --seed $(or $(SEED),7) $(ARGS)

fuzz: $(READY) ## Read mutated photos and events, none may crash: INPUTS=20000 SEED=1
	@$(BIN)/python -m tests.fuzz --inputs $(or $(INPUTS),20000) --seed $(or $(SEED),1) $(ARGS)

lint: $(READY) ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY) ## Put the code into shape
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: $(READY) ## Run every benchmark: each prints a ratio against a peer
	@set -e; for benchmark in $(wildcard benchmarks/[a-z]*.py); do \
	  echo "== $$benchmark"; $(BIN)/python "$$benchmark" $(ARGS); done

schemas: $(READY) ## Write the JSON Schemas, the AsyncAPI page and docs/settings.md anew
	@$(BIN)/secondsight schemas
	@$(BIN)/secondsight settings --markdown >docs/settings.md.new
	@mv docs/settings.md.new docs/settings.md

manifests: $(READY) ## Write what the deployment takes from the code: settings, topics, users, rules
	@$(BIN)/python -m deploy.generate

constraints: ## Pin the newest versions that fit pyproject.toml
	@$(call find_python); rm -rf build/constraints; "$$python" -m venv build/constraints
	@build/constraints/bin/python -m pip install --quiet --disable-pip-version-check '.[local,dev]'
	@sed -n '/^#/p' constraints.txt >build/constraints.txt
	@build/constraints/bin/python -m pip freeze | grep '^[A-Za-z0-9._-]*==' >>build/constraints.txt
	@mv build/constraints.txt constraints.txt; rm -rf build/constraints

clean: ## Remove caches and build outputs, not .venv
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

# Sets the shell variable `python`, or ends with a sentence that says what to do.
define find_python
python=; for candidate in $(CANDIDATES); do \
  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
  then python=$$candidate; break; fi; done; \
if [ -z "$$python" ]; then \
  echo "Python 3.11 or newer is needed, and $(CANDIDATES) is not it. Install it (Debian, Ubuntu:" \
    "apt install python3.11 python3.11-venv) or name it: make PYTHON=/path/to/python3.11" >&2; \
  exit 1; fi; \
if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
  echo "$$python cannot make virtual environments: its venv module is not installed (Debian," \
    "Ubuntu: apt install python3-venv, or the python3.x-venv of that version)." >&2; \
  exit 1; fi
endef

$(READY): pyproject.toml constraints.txt
	@if ! $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  $(find_python); "$$python" -m venv --clear .venv; fi
	@echo "Installing into .venv, this once. torch is large: 6 GB in all, some minutes." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
	  --editable '.[local,dev]' --constraint constraints.txt
	@touch $@
