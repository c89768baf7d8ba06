# Every check has its one definition here; CI runs the same targets.
# PYTHON picks the interpreter that .venv is made with.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CASES ?= 20000
FAULTS ?= 40
BROKERS ?= 1
# One more than two cores: a third of their time tests wait for brokers.
TESTERS ?= 3
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz chaos check format schemas docs site lock bench bench-model bench-start bench-latency clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/base.stamp ## Watch messages being labelled, on a broker of its own (ARGS="--messages 50")
	@$(BIN)/emotion-stream demo $(ARGS)

test: $(VENV)/dev.stamp ## Run all tests (ARGS="-k batcher"); with KAFKA_HOME, on Apache Kafka
ifdef ARGS
	$(BIN)/pytest $(ARGS)
else
	$(BIN)/pytest -n $(TESTERS) --dist worksteal
endif

fuzz: $(VENV)/dev.stamp ## Try hostile records, as many as you like (CASES=200000)
	FUZZ_CASES=$(CASES) $(BIN)/pytest tests/test_fuzz.py

chaos: $(VENV)/dev.stamp ## Faults of every kind on Apache Kafka of KAFKA_HOME (FAULTS=40 SEED=7 BROKERS=3)
	$(BIN)/python -m tests.chaos --faults $(FAULTS) --brokers $(BROKERS) $(if $(SEED),--seed $(SEED))

check: $(VENV)/dev.stamp site ## Lint, format and types; the site without a broken link
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp ## Format, and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(VENV)/dev.stamp ## Write docs/schemas anew from the types
	$(BIN)/python -m stream.schemas

docs: $(VENV)/dev.stamp ## Write the generated pages of docs anew from the code
	$(BIN)/python -m stream.reference

site: $(VENV)/dev.stamp ## Build the documentation as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

# For the Python and the processor of the images; from PyPI alone, whatever index this machine is set to.
LOCK := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-config \
	--default-index https://pypi.org/simple --python-version 3.13 --python-platform x86_64-manylinux_2_28

lock: $(BIN)/uv ## Pin what the images hold anew, with hashes, in deploy/requirements
	$(LOCK) pyproject.toml --extra otel --extra registry -o deploy/requirements/cpu.txt
	$(LOCK) pyproject.toml --extra otel --extra registry --extra gpu -o deploy/requirements/gpu.txt
	$(LOCK) deploy/requirements/build.in -o deploy/requirements/build.txt

bench: $(VENV)/dev.stamp $(VENV)/peers.stamp ## Measure the pipeline beside its peers (ARGS="--rounds 1")
	$(BIN)/python -m benchmarks.pipeline $(ARGS)

bench-model: $(VENV)/dev.stamp $(VENV)/peers.stamp ## Measure the model beside other engines (ARGS="--rounds 1")
	$(BIN)/python -m benchmarks.model $(ARGS)

bench-start: $(VENV)/dev.stamp ## Seconds to the first label, and memory (ARGS="--rounds 9")
	$(BIN)/python -m benchmarks.start $(ARGS)

bench-latency: $(VENV)/dev.stamp ## Latency against offered load (ARGS="--loads 50 --seconds 60")
	$(BIN)/python -m benchmarks.latency $(ARGS)

clean: ## Remove the environment and everything that tools left
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than pyproject.toml only until the next install. The dev install holds the base install,
# so it sets both; the base install alone has no torch. Where Debian's package for venv is missing, its Python
# makes half an environment, which must not stay.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1)' || { \
		echo "emotion-stream needs Python 3.11 or newer: $(PYTHON) is older, or not there."; \
		echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; } >&2
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

NOT_INSTALLED = { echo "The packages could not be installed; above stands why. Where pip had to compile one (on Python 3.14"; \
	echo "and newer, and on Linux on ARM), it needs a compiler: apt install g++ python3-dev. Or try another"; \
	echo "Python: make clean, then make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; } >&2

# uv takes a third of pip's time or less. Where it has no build, or finds no packages since an index is set for
# pip alone, pip does the same.
$(BIN)/uv: | $(BIN)/python
	@$(PIP) 'uv>=0.9,<0.14' || echo "going on without uv"

$(VENV)/base.stamp: pyproject.toml | $(BIN)/uv
	@echo "installing into $(VENV)"
	@$(UV) --compile-bytecode --editable . || $(PIP) --editable . || $(NOT_INSTALLED)
	@touch $@

# Peers' own packages come first; what they do not bring (torch, this project) comes from the development's.
SITE := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

$(VENV)/peers.stamp: benchmarks/peers/requirements.txt | $(VENV)/dev.stamp
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	echo "import site; site.addsitedir('$$($(BIN)/python $(SITE))')" \
		> "$$($(VENV)/peers/bin/python $(SITE))/development.pth"
	@touch $@

# torch by pip, which finds a build for CPUs where its settings name one. Nothing is compiled that nobody imports.
TESTED := --constraint tests/constraints.txt

$(VENV)/dev.stamp: pyproject.toml tests/constraints.txt | $(BIN)/uv
	@echo "installing into $(VENV), with what the tests need"
	@$(PIP) --no-compile $(TESTED) torch || $(NOT_INSTALLED)
	@$(UV) $(TESTED) --editable '.[dev]' || $(PIP) --no-compile $(TESTED) --editable '.[dev]' || $(NOT_INSTALLED)
	@touch $@ $(VENV)/base.stamp
