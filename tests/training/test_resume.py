"""Runs that are broken off and go on: the batches, weights and logs of an unbroken run."""

import keras
import numpy as np
import pytest

import keras_seq as ks
from keras_seq.training import TruncatedBPTT, chunks, resume

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.needs_tensorflow(reason="the data are a tf.data.Dataset")

ROWS, BATCH, T, D = 22, 4, 5, 3  # six batches an epoch, the last of two rows
STEPS, EPOCHS = 6, 2


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Ends the process, as far as a test can, after a number of steps."""

    def __init__(self, after):
        super().__init__()
        self.steps_left = after

    def on_train_batch_end(self, batch, logs=None):
        self.steps_left -= 1
        if self.steps_left == 0:
            raise Killed


def dataset(seed=0, rows=ROWS):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, T, D)).astype("float32"), rng.normal(size=(rows, 1))
    return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(rows, seed=seed).batch(BATCH)


def regressor(rate=0.0, units=4):
    """Another model in each call, as in another process: no initial weight or seed is the same."""
    x = inputs = keras.Input((T, D))
    x = ks.layers.LSTM(units, dropout=rate, zoneout=rate)(x)
    x = keras.layers.Dropout(rate)(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.05, 3, 0.8)
    model.compile(keras.optimizers.Adam(schedule), "mse", metrics=["mae"])
    return model


def language_trainer(rate=0.0):
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(7, 4)(tokens)
    x = ks.layers.GRU(4, return_sequences=True, dropout=rate, zoneout=rate)(x)
    trainer = TruncatedBPTT(keras.Model(tokens, keras.layers.Dense(7)(x)), steps=T)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(keras.optimizers.Adam(0.05), loss)
    return trainer


def text():
    tokens = np.random.default_rng(0).integers(0, 7, size=2 * T * STEPS + 1)
    return chunks(tokens, batch_size=2, steps=T)


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in variables]


def assert_same_state(model, other):
    for a, b in zip(state(model), state(other), strict=True):
        np.testing.assert_array_equal(a, b)


def run(make_model, make_data, folder, kill_after=None, **arguments):
    """`(model, history)`, or `None` where the run was killed."""
    arguments = {"epochs": EPOCHS, "save_every": 2, "verbose": 0, **arguments}
    callbacks = [*arguments.pop("callbacks", ()), *([Kill(kill_after)] if kill_after else [])]
    model = make_model()
    try:
        history = resume(model, make_data(), folder, callbacks=callbacks, **arguments)
    except Killed:
        return None
    return model, history.history


def begin(make_model, folder):
    """Give all runs the same beginning: an untrained model's checkpoint, at step 0."""


@pytest.mark.parametrize("make_model, make_data", [(regressor, dataset), (language_trainer, text)])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_a_run_killed_again_and_again_ends_as_an_unbroken_one(
    make_model, make_data, rate, tmp_path
):
    def seeded():
        keras.utils.set_random_seed(1)
        return make_model(rate)

    whole, history = run(seeded, make_data, tmp_path / "whole")
    assert run(seeded, make_data, tmp_path / "broken", kill_after=3) is None
    for steps in (1, 2, 3, 4, 6):  # within an epoch, at its last step, in the next
        run(lambda: make_model(rate), make_data, tmp_path / "broken", kill_after=steps)
    model, resumed = run(lambda: make_model(rate), make_data, tmp_path / "broken")
    assert_same_state(model, whole)
    assert resumed == history
