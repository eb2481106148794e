# `make demo` and `make test` each start from a bare machine: they make .venv and install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

ON_JAX := tests/layers tests/stepping tests/inspection tests/generation tests/models tests/training \
	tests/test_backend_errors.py

# What depends on the insides of Keras, so on its version.
ON_EVERY_KERAS := tests/stepping tests/layers/test_sequence_layer.py
KERAS_lowest := ~=3.12.0
KERAS_newest :=

.PHONY: demo test check test-keras test-keras-lowest test-keras-newest bench clean

demo: $(VENV)/demo.done
	$(BIN)/python examples/translate.py

# Two runs: everything on TensorFlow; then layers, models, stepping, generation and training on JAX,
# where TensorFlow cannot be imported. On TensorFlow the tests of a file run in one process, for they
# share costly fixtures.
test: $(VENV)/test.done
	$(BIN)/python -m pytest -n 2 --dist loadfile -q
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 -q --without-tensorflow $(ON_JAX)

check: $(VENV)/check.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Not part of `make test`: they make two more environments, of gigabytes.
test-keras: test-keras-lowest test-keras-newest

test-keras-lowest test-keras-newest: test-keras-%: $(VENV)/keras-%/done
	$(VENV)/keras-$*/bin/python $(PIP_INSTALL) --upgrade "keras$(KERAS_$*)"
	$(VENV)/keras-$*/bin/python -m pytest -n 2 -q $(ON_EVERY_KERAS)

bench: $(VENV)/bench.done
	$(BIN)/python benchmarks/generate.py --searches greedy --models translation-small decoder-small
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/recurrent.py

# One stamp for each extra, so that nothing is installed twice.
$(VENV)/%.done: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python $(PIP_INSTALL) --editable ".[$*]"
	touch $@

$(VENV)/keras-%/done: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP_INSTALL) --editable ".[test]" "keras$(KERAS_$*)"
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build *.egg-info
