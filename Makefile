PYTHON ?= .venv/bin/python
BIN := $(dir $(PYTHON))

.PHONY: help demo test check docs figures benchmark

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: ## look-ahead selection on real images
	$(PYTHON) -m alupdate.run strategy=lookahead

test: ## the tests
	$(BIN)pytest

check: ## lint, types and the layering rule
	$(BIN)ruff format --check .
	$(BIN)ruff check .
	$(BIN)mypy
	$(BIN)lint-imports

docs: ## the site, in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)mkdocs build --strict

figures: ## every picture of README and docs, from results/reference
	$(PYTHON) scripts/figures.py results/reference/strategies-mnist5k.csv docs/figures --only 'curves-*' 'difference-*' '*-saved'
	$(PYTHON) scripts/figures.py results/reference/strategies-digits.csv docs/figures --only 'curves-*' 'difference-*' '*-saved'
	$(PYTHON) scripts/figures.py results/reference/strategies-cifar10.csv docs/figures --only 'curves-*' 'difference-*' '*-saved'
	$(PYTHON) scripts/figures.py results/reference/strategies-banking77.csv docs/figures --only 'curves-*' 'difference-*' '*-saved'
	$(PYTHON) scripts/figures.py results/reference/gap-closed.csv docs/figures --only '*-minilm' '*_lite0' '*-pixels' '*-gap' '*-speedup'
	$(PYTHON) scripts/figures.py results/reference/robustness.csv docs/figures --only '*-gamma' '*-speedup'
	$(PYTHON) scripts/figures.py results/reference/strategy-areas.csv docs/figures --only 'strategy-areas' '*-construction' '*-against-lookahead' '*-datasets'
	$(PYTHON) scripts/figures.py results/reference/strategy-areas-30.csv docs/figures --only 'strategy-areas-30-areas'
	$(PYTHON) scripts/figures.py results/reference/stopping.csv docs/figures --only '*-stops'
	$(PYTHON) scripts/figures.py results/reference/realistic.csv docs/figures --only '*-disturbances-*'
	$(PYTHON) scripts/figures.py results/reference/benchmark.csv docs/figures --only 'benchmark-*'
	$(PYTHON) scripts/figures.py results/reference/benchmark-scale.csv docs/figures --only '*-growth'
	$(PYTHON) scripts/figures.py results/reference/forecasts.csv docs/figures --only 'forecasts-expected'
	$(PYTHON) scripts/illustration.py docs/figures

benchmark: ## speed and memory against plain code, peers and the limit of the machine
	$(PYTHON) scripts/benchmark.py
