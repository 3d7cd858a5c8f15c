# The checks of a change, one by one; .ci/run calls them in fresh environments.
PYTHON ?= python

.PHONY: lint types test slow long demo portable coverage audit

lint:
	ruff check .
	ruff format --check .

types:
	mypy

test:
	$(PYTHON) -m pytest -q -rs

slow:  # training, studies at minute size, windows on a virtual display
	$(PYTHON) -m pytest -q -rs -m slow

long:  # by hand; 5: there is none
	$(PYTHON) -m pytest -q -rs -m long || [ $$? -eq 5 ]

# At least six of the demo's gestures must start within 300 frames.
demo:
	events=$$(mktemp) && trap 'rm -f $$events' EXIT && \
	$(PYTHON) run.py --camera demo --view none --events $$events --max-frames 300 && \
	started=$$(grep '"kind": "start"' $$events | grep -o '"label": "[^"]*"' | sort -u | wc -l) && \
	echo "$$($(PYTHON) --version): $$started gestures started in 300 frames of the demo" && \
	[ $$started -ge 6 ]

# What the live path needs has wheels for Linux on ARM, too. Needs the network.
portable:
	for version in 3.10 3.14; do \
	    uv pip compile --quiet --python-platform aarch64-manylinux_2_28 --python-version $$version \
	        --only-binary :all: requirements.txt >/dev/null || exit 1; \
	    echo "requirements.txt resolves for Linux on ARM, Python $$version"; \
	done

# Of what a person before the camera meets, with the processes that the tests start.
LIVE = realtime/live/*,realtime/views/*,realtime/commands/*
coverage:
	$(PYTHON) -m pytest -q -n 2 -m "not long" --cov --cov-report= tests/realtime tests/engines/selftest
	coverage report --include="realtime/*,run.py" --skip-covered
	coverage report --include="$(LIVE)" --show-missing --fail-under=85

# Known vulnerabilities of what each requirement file brings; a package that can't be looked up is
# a fault, too. Needs pip-audit and the network.
audit:
	for file in requirements*.txt; do \
	    pip-audit --strict --progress-spinner off --requirement $$file || exit 1; \
	done
