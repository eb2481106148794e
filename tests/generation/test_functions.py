import keras
import numpy as np
import pytest

from keras_seq.generation import Generator, _functions
from tests.generation.generation_models import hybrid


class Batches:
    """Calls with batches of given sizes, and what was compiled for them, with XLA or not."""

    def __init__(self, monkeypatch, jit_compile):
        self.made = []
        monkeypatch.setattr(_functions, "CAPACITY", 2)
        monkeypatch.setattr(_functions, "compiled", self.compiled)
        self.functions = _functions.CompiledFunctions(
            Generator(hybrid(), max_length=2, jit_compile=jit_compile, self_check=False)
        )

    def compiled(self, function, model, jit_compile):
        self.made.append(jit_compile)
        return function

    def get(self, rows):
        arrays = [None, np.zeros((rows, 3), "int32")]
        return self.functions.get("generate", (0, 2, False), arrays)[0]


def test_functions_that_were_used_last_are_kept(monkeypatch):
    jit_compile = keras.backend.backend() != "tensorflow"
    batches = Batches(monkeypatch, jit_compile)
    one, two = batches.get(1), batches.get(2)
    assert batches.get(1) is one
    batches.get(3)  # in place of two
    assert batches.get(1) is one
    assert batches.get(2) is not two
    assert batches.made == [jit_compile] * 4


@pytest.mark.needs_tensorflow(reason="elsewhere XLA's code is freed with its function")
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="see the mark")
def test_what_tensorflow_never_frees_is_compiled_for_so_many_shapes_alone(monkeypatch):
    batches = Batches(monkeypatch, jit_compile=True)
    one, two = batches.get(1), batches.get(2)
    with pytest.warns(UserWarning, match="2 shapes.*without XLA"):
        batches.get(3)
    for rows in (4, 5, 3):
        batches.get(rows)
    assert batches.get(1) is one and batches.get(2) is two
    assert batches.made == [True, True, False, False, False, False]
