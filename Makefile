# make demo    shows the main job          make check    what a change must pass
# make test    everything, with coverage    make help     all targets

PLACE := $(shell sh tools/place.sh)
BIN := $(PLACE)/.venv/bin
IN_VENV := PATH="$(BIN):$$PATH" VIRTUAL_ENV="$(PLACE)/.venv"
PYTHON ?=
XDIST ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup setup-demo setup-system site demo demo-break check lint types test prove fuzz bench bench-setup golden docs lock wheel wheel-smoke changelog clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

setup: ## the venv, locked dependencies, a compose binary: all that the tests need
	@python=$$(PYTHON="$(PYTHON)" sh tools/python.sh) && PYTHON="$(PYTHON)" "$$python" tools/setup.py --for test

setup-demo:
	@python=$$(PYTHON="$(PYTHON)" sh tools/python.sh) && PYTHON="$(PYTHON)" "$$python" tools/setup.py --for demo

setup-system: ## as root on Debian or Ubuntu: the packages that some tests use
	apt-get install --yes --no-upgrade --no-install-recommends openssh-server acl e2fsprogs xfsprogs mount util-linux zstd docker.io podman iptables busybox-static redis-tools cron at tmux screen sudo

site: setup-demo ## the demo site in examples/platform/run, where it is missing
	@$(IN_VENV) python -m tools.demo_site

demo: setup-demo ## shut gate, repair, plan, approve, apply, evidence: on a small real stack
	@$(IN_VENV) python -m tools.demo

demo-break: setup-demo ## break one thing at a time, and see which guardrail says so
	@$(IN_VENV) python -m tools.demo_break

check: lint types ## what every change must pass: ruff, mypy --strict, the tests
	$(IN_VENV) python -m pytest tests

lint: setup
	$(IN_VENV) ruff check .
	$(IN_VENV) ruff format --check .

types: setup
	$(IN_VENV) mypy --strict interlock checks fixtures
	$(IN_VENV) mypy --strict -p tools

test: setup site ## every test, with branch coverage; at most 20 minutes on 2 cores
	rm -f .coverage .coverage.*
	@$(IN_VENV) sh tools/test.sh -n $(XDIST) --dist loadscope

prove: setup site ## the long counts: fuzzing, crash points, matrices
	$(IN_VENV) INTERLOCK_PROFILE=prove python -m pytest tests -n $(XDIST) --dist loadscope --durations=20
	@$(MAKE) --no-print-directory fuzz

fuzz: setup ## an hour of atheris over the parsers and whole scans; INTERLOCK_FUZZ_SECONDS=600 for less
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --requirement requirements/fuzz.txt
	@$(IN_VENV) python -m tools.fuzz

bench-setup: setup ## the peers that benchmarks compare with
	$(IN_VENV) sh benchmarks/setup.sh

bench: setup ## ours against peers, the same work in one run, as ratios
	$(IN_VENV) python -m benchmarks

golden: setup ## write the golden files anew; read the difference before you commit it
	$(IN_VENV) INTERLOCK_GOLDEN=write python -m pytest tests -k golden -p no:randomly
	git --no-pager diff --stat -- tests/golden

docs: setup ## the documentation, built into build/docs
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --requirement requirements/docs.txt
	$(IN_VENV) mkdocs build --strict

lock: ## requirements/*.txt anew; `make lock UPGRADE=--upgrade` takes newer versions
	sh tools/lock.sh $(UPGRADE)

wheel: setup ## the wheel and the source archive, in dist/
	$(IN_VENV) python -m build --no-isolation --outdir dist

wheel-smoke: ## the wheel, installed into an empty venv and used in an empty folder (needs a package index)
	@python=$$(PYTHON="$(PYTHON)" sh tools/python.sh) && PYTHON="$$python" sh tools/wheel_smoke.sh

changelog: ## what the next release will say
	@for fragment in changelog.d/*.md; do cat "$$fragment"; done

clean: ## take away what was made here, the demo site and its reports included; the venv stays
	@if [ -x "$(BIN)/python" ]; then $(IN_VENV) python -m tools.demo_site --remove; fi
	rm -rf dist build .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
