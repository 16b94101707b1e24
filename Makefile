# `make lab` and `make test` work on a fresh Debian 12 or Ubuntu 24.04 with git and make: .ci/setup installs the rest.
#
#   make test ARGS="tests/core/rib -k med"     arguments for pytest; four tests at a time, or one with -n 0
#   make lab ARGS="--keep"                arguments for routerd lab
#   make bench ARGS="--works load-1"      arguments for python -m benchmarks
#   make install PREFIX=/opt/routerd      as root: docs/install.md
#   make install WHEELHOUSE=wheelhouse    without a network, from what make wheelhouse has fetched

SHELL := /bin/bash
PREFIX ?= /opt/routerd
ARGS ?=
BIN := .venv/bin
# The package is checked strictly, and its tests as strictly but for this.
LOOSER := --implicit-reexport --no-strict-equality --no-warn-unused-ignores \
    --disable-error-code misc --disable-error-code arg-type --disable-error-code var-annotated

.PHONY: reference help lab test soak bench bench-check lint format lock install wheelhouse uninstall clean

help:
	@echo "make lab        build a router, nodes and a client in network namespaces, and show what routerd does"
	@echo "make test       install what the tests need, and run them (as root: all of them)"
	@echo "make soak       the long tests: ten minutes of calm, a hundred kills, 200 reloads, masses, an hour beside FRR (as root)"
	@echo "make bench      routerd, FRR and BIRD side by side, 45 minutes (as root): docs/benchmarks.md"
	@echo "make bench-check  the same, and whether routerd became slower than the recorded ratios say"
	@echo "make lint       ruff, mypy and the import contracts"
	@echo "make format     let ruff write the code anew"
	@echo "make reference  write completions, manual page and JSON Schema anew, of the commands"
	@echo "make lock       renew the locked Python packages, requirements/"
	@echo "make install    install to $(PREFIX), with the systemd unit (as root)"
	@echo "make wheelhouse fetch the Python packages for a router without a network"
	@echo "make uninstall  undo that; /etc/routerd stays"
	@echo "make clean      remove .venv and what the tools left"

lab:
	@.ci/setup lab
	@$(BIN)/routerd lab $(ARGS)

test:
	@.ci/setup test
	@[[ $$(id -u) -eq 0 ]] || echo "make test: not root, so tests that need network namespaces are skipped" >&2
	@PATH="$$PATH:/usr/sbin:/sbin" $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

soak:
	@.ci/setup soak
	@PATH="$$PATH:/usr/sbin:/sbin" $(BIN)/python -m pytest -m "" -o python_files='soak_*.py' -s tests/soak $(ARGS)
	@PATH="$$PATH:/usr/sbin:/sbin" $(BIN)/python -m pytest -m long tests $(ARGS)

# routerd is compiled before, as pip does it when it installs: else each start is measured with a compiler.
bench:
	@.ci/setup test
	@$(BIN)/python -m compileall -q daemon
	@PYTHONPATH=daemon:. $(BIN)/python -m benchmarks $(ARGS)

bench-check:
	@.ci/setup test
	@$(BIN)/python -m compileall -q daemon
	@PYTHONPATH=daemon:. $(BIN)/python -m benchmarks --check $(ARGS)

lint:
	@.ci/setup lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy -p routerd
	$(BIN)/mypy -p benchmarks
	$(BIN)/mypy -p tests $(LOOSER)
	$(BIN)/lint-imports

format:
	@.ci/setup lint
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

# What is made of the commands and the API's views: completions, the manual page, JSON Schema. A test holds it current.
reference:
	@.ci/setup test
	@$(BIN)/python -m routerd.reference .

lock:
	@.ci/lock

install:
	@WHEELHOUSE="$(if $(WHEELHOUSE),$(abspath $(WHEELHOUSE)))" systemd/install $(PREFIX)

wheelhouse:
	@.ci/wheelhouse wheelhouse

uninstall:
	@systemd/install --remove $(PREFIX)

clean:
	rm -rf .venv build dist wheelhouse daemon/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find benchmarks daemon tests -type d -name __pycache__ -prune -exec rm -rf {} +
