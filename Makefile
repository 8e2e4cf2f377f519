# make demo | make test | make install | make bench
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
# Its metadata demands torch and a compiler; the weights inside need neither.
GE2E_WHEEL := resemblyzer==0.1.4

.PHONY: install demo test bench clean

install: .venv/installed
demo: .venv/installed
	$(BIN)/mmdia-eval demo
test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadfile
bench: .venv/installed-test
	$(BIN)/python -m benchmarks

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[board,pictures]'
	$(PIP) --no-deps $(GE2E_WHEEL)
	touch $@

.venv/installed-test: .venv/installed
	$(PIP) --editable '.[test]'
	touch $@

clean:
	rm -rf .venv demo build dist *.egg-info
