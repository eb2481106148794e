# `make demo` and `make test` each start from a bare machine: they make .venv and install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

ON_JAX := tests/layers tests/stepping tests/inspection tests/generation tests/models tests/training \
	tests/test_backend_errors.py

.PHONY: demo test check bench clean

demo: $(VENV)/demo.done
	$(BIN)/python examples/translate.py

# Two runs: everything on TensorFlow; then layers, models, stepping, generation and training on JAX,
# where TensorFlow cannot be imported.
test: $(VENV)/test.done
	$(BIN)/python -m pytest -n 2 -q
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 -q --without-tensorflow $(ON_JAX)

check: $(VENV)/check.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/bench.done
	$(BIN)/python benchmarks/generate.py --searches greedy --models translation-small decoder-small
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/recurrent.py

# One stamp for each extra, so that nothing is installed twice.
$(VENV)/%.done: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build *.egg-info
