# From a bare checkout, `make test` and `make demo` do everything; a second call installs nothing.
#   make test  [ARGS="tests/modeling -x"]    the tests
#   make demo                                draws data, trains, evaluates, prints a table
#   make soak                                kills, broken inputs, long runs: docs/reliability.md
#   make test-matrix [CELLS=py313 KEEP=1]    quick tests on the ends of the versions: 5 GB each
#   make lint                                ruff and mypy
#   make clean                               removes .venv and what was built, never results
# PYTHON=python3.12 chooses the interpreter (3.11 to 3.13) that .venv is made with.

PYTHON ?= python3
ARGS ?=
# Tests run side by side, a file's in one process of 1.5 GB.
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 1); [ $$n -le 4 ] && echo $$n || echo 4)
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check --quiet

# The stamp's name holds a checksum of all that decides what is installed, and of where.
INPUTS := setup.py pyproject.toml fed_plugin/__init__.py requirements/pins.txt requirements/host.txt
STAMP := $(VENV)/installed-$(shell { echo '$(CURDIR)'; cat $(INPUTS); } | cksum | tr ' ' '-')
VERSION := import sys; print(*sys.version_info[:2], sep=".")

.PHONY: help test test-matrix demo soak lint clean ready
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//; 1,8p' Makefile

test: ready
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

demo: ready
	$(VENV)/bin/fed-plugin demo $(ARGS)

SOAK := kills ranks machines broken_inputs long_run import_hook

soak: ready
	@failed=""; for name in $(SOAK); do echo "== $$name"; \
	  $(RUN) tests/soak/$$name.py || failed="$$failed $$name"; done; \
	$(RUN) tests/soak/page.py; \
	test -z "$$failed" || { echo "not as expected:$$failed"; exit 1; }

test-matrix: ready
	$(RUN) tests/soak/versions.py $(CELLS) $(if $(KEEP),--keep)

lint: ready
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

clean:
	rm -rf $(VENV) .venv-matrix build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

ready: $(STAMP)
ifneq ($(origin PYTHON),file)
	@have="$$($(RUN) -c '$(VERSION)')"; want="$$($(PYTHON) -c '$(VERSION)' 2>/dev/null)"; \
	test "$$have" = "$$want" || { \
	  echo "PYTHON=$(PYTHON) is Python $${want:-(it does not run)}, $(VENV) holds $$have;" \
	    "leave PYTHON out to use that, or run 'make clean' first"; exit 1; }
endif

$(STAMP):
	@is="$$($(PYTHON) -c '$(VERSION)' 2>/dev/null)"; case "$$is" in 3.1[1-9]) ;; *) \
	  echo "PYTHON=$(PYTHON): expected Python 3.11 or later (3.11 to 3.13 were run), got $${is:-none that runs};" \
	    "try PYTHON=python3.11"; exit 1;; esac
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu install" \
	    "python$$($(PYTHON) -c '$(VERSION)')-venv with apt"; exit 1; }
	@$(RUN) -m pip --version >/dev/null 2>&1 || { \
	  echo "Making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing pinned packages into $(VENV); PyTorch alone is 5 GB, so minutes the first time"
	@$(PIP) install -r requirements/pins.txt
	@$(PIP) install --no-deps -r requirements/host.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/installed-*
	@touch $@
