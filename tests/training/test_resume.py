"""Runs that are broken off and go on: the batches, weights and logs of an unbroken run."""

import itertools
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_seq as ks
from keras_seq.training import TruncatedBPTT, chunks, resume

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.needs_tensorflow(reason="the data are a tf.data.Dataset")

SCRIPT = pathlib.Path(__file__).with_name("run_and_kill.py")
ROWS, BATCH, T, D = 22, 4, 5, 3  # six batches an epoch, the last of two rows
STEPS, EPOCHS = 6, 2


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Ends the process, as far as a test can, after a number of steps."""

    def __init__(self, after):
        super().__init__()
        self.after = after
        self.count = itertools.count(1)  # no number, which would go on in the next run

    def on_train_batch_end(self, batch, logs=None):
        if next(self.count) == self.after:
            raise Killed


def dataset(seed=0, rows=ROWS):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, T, D)).astype("float32"), rng.normal(size=(rows, 1))
    return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(rows, seed=seed).batch(BATCH)


def recurrent(rate=0.3):
    inputs = keras.Input((T, D))
    x = ks.layers.LSTM(4, dropout=rate, zoneout=rate)(inputs)
    x = keras.layers.Dropout(rate)(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile("nadam", "mse")
    return model


def regressor(units=4, learning_rate=None):
    """Quickly traced; its dropout and learning rate depend on the steps made so far."""
    inputs = keras.Input((T, D))
    x = keras.layers.Dropout(0.3)(keras.layers.Flatten()(inputs))
    x = keras.layers.Dense(units, "tanh")(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.05, 3, 0.8)
    model.compile(keras.optimizers.Adam(learning_rate or schedule), "mse", metrics=["mae"])
    return model


def language_trainer(rate=0.3):
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


def run(make_model, data, folder, kill_after=None, seed=None, **arguments):
    """`(model, history)`, or `None` where the run was killed.

    Initial weights and seeds are others in each run, as in other processes, but with `seed`.
    """
    arguments = {"epochs": EPOCHS, "save_every": 2, "verbose": 0} | arguments
    callbacks = [*arguments.pop("callbacks", ()), *([Kill(kill_after)] if kill_after else [])]
    if seed is not None:
        keras.utils.set_random_seed(seed)
    model = make_model()
    try:
        history = resume(model, data, folder, callbacks=callbacks, **arguments)
    except Killed:
        return None
    return model, history.history


def killed_again_and_again(make_model, make_data, folder, kills, **arguments):
    """`(model, history)` of a run that is killed after so many steps each time."""
    for steps in kills:
        begins = not (folder / "checkpoint.npz").exists()
        seed = 0 if begins else None  # what begins anew has the initial weights of its script
        assert run(make_model, make_data(), folder, steps, seed, **arguments) is None
    return run(make_model, make_data(), folder, **arguments)


def test_a_run_killed_again_and_again_ends_as_an_unbroken_one(tmp_path):
    whole, history = run(regressor, dataset(), tmp_path / "whole", seed=0)
    # Before the first checkpoint, within an epoch, at its last step, in the next, at the last.
    kills = (1, 3, 1, 3, 3, 4, 3)
    model, resumed = killed_again_and_again(regressor, dataset, tmp_path / "broken", kills)
    assert_same_state(model, whole)
    assert resumed == history


def test_a_training_step_is_traced_once(tmp_path):
    traces = []

    class Traced(keras.Model):
        def train_step(self, data):
            traces.append(data)
            return super().train_step(data)

    def make_model():
        plain = regressor()
        model = Traced(plain.inputs, plain.outputs)
        model.compile("adam", "mse", metrics=["mae"])
        return model

    rows = 5 * BATCH  # batches of one shape
    run(make_model, dataset(rows=rows), tmp_path)
    assert len(traces) == 1
    run(make_model, dataset(rows=rows), tmp_path, epochs=EPOCHS + 1)  # goes on
    assert len(traces) == 2


def run_and_kill(tmp_path, *arguments):
    root = str(pathlib.Path(ks.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    report = json.loads(run.stdout.splitlines()[-1])
    kills = len(arguments) - 3
    assert report["codes"] == [0, *[9] * kills, 0], run.stderr[-3000:]
    assert report["differing"] == [] and report["arrays"] > 5
    assert report["same history"]
    assert report["files"] == ["checkpoint.npz"]
    return report


def test_a_process_killed_by_the_system_ends_as_an_unbroken_one(tmp_path):
    report = run_and_kill(tmp_path, "language_trainer", 0.3, EPOCHS, "step:3", "write:2")
    assert len(report["leftovers before the last run"]) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("model", ["recurrent", "language_trainer"])
def test_a_process_killed_at_ten_random_steps_ends_as_an_unbroken_one(model, rate, tmp_path):
    steps = np.random.default_rng([len(model), int(10 * rate)]).integers(1, 5, size=10)
    run_and_kill(tmp_path, model, rate, 7, *(f"step:{n}" for n in steps))


def test_the_metrics_and_callbacks_of_a_broken_run_go_on(tmp_path):
    def callbacks():
        return [
            keras.callbacks.EarlyStopping(
                "val_mae", patience=3, min_delta=1.0, restore_best_weights=True
            ),
            keras.callbacks.ReduceLROnPlateau("val_mae", factor=0.5, patience=1, min_delta=1.0),
            keras.callbacks.CSVLogger(tmp_path / "log.csv", append=True),
        ]

    def make_model():
        return regressor(learning_rate=0.05)

    arguments = {"epochs": 8, "validation_data": next(iter(dataset()))}  # arrays: one order
    whole, history = run(
        make_model, dataset(), tmp_path / "whole", seed=0, callbacks=callbacks(), **arguments
    )
    assert len(history["loss"]) == 4  # stopped early, by what has been counted over three epochs
    (tmp_path / "log.csv").unlink()
    for kill_after, seed in ((9, 0), (10, None)):
        given = {"callbacks": callbacks(), **arguments}
        run(make_model, dataset(), tmp_path / "broken", kill_after, seed, **given)
    for _ in range(2):  # the second call restores what was trained
        model, resumed = run(
            make_model, dataset(), tmp_path / "broken", callbacks=callbacks(), **arguments
        )
        assert_same_state(model, whole)
        assert resumed == history
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(e) for e in range(len(lines) - 1)]


def test_callbacks_are_not_called_for_steps_already_made(tmp_path):
    seen = []

    class Record(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(batch)

        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, sorted(logs)))

    def calls(steps):
        return [item for step in steps for item in (step, (step, ["loss", "mae"]))]

    run(regressor, dataset(), tmp_path, kill_after=4, callbacks=[Record()])
    assert seen == calls(range(4))
    seen.clear()
    run(regressor, dataset(), tmp_path, callbacks=[Record()])  # from the checkpoint of step 2
    assert seen == calls(range(2, STEPS)) + calls(range(STEPS))


def test_training_stopped_within_an_epoch_goes_on_from_there(tmp_path):
    class TimeLimit(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                self.model.stop_training = True

    whole, history = run(regressor, dataset(), tmp_path / "whole", seed=0)
    run(regressor, dataset(), tmp_path / "broken", seed=0, callbacks=[TimeLimit()])
    model, resumed = run(regressor, dataset(), tmp_path / "broken")
    assert_same_state(model, whole)
    assert resumed == history


def test_the_last_checkpoint_is_of_before_a_loss_that_is_not_finite(tmp_path):
    class Diverge(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 4:
                self.model.weights[0].assign(np.full((T * D, 4), np.nan))

    callbacks = [Diverge(), keras.callbacks.TerminateOnNaN()]
    whole, _ = run(regressor, dataset(), tmp_path / "whole", seed=0)
    run(regressor, dataset(), tmp_path / "broken", seed=0, callbacks=callbacks)
    assert_same_state(run(regressor, dataset(), tmp_path / "broken")[0], whole)


def test_more_epochs_go_on_from_where_training_had_ended(tmp_path):
    whole, _ = run(regressor, dataset(), tmp_path / "whole", seed=0)
    run(regressor, dataset(), tmp_path / "more", seed=0, epochs=1)
    assert_same_state(run(regressor, dataset(), tmp_path / "more")[0], whole)


def test_a_dataset_that_knows_its_position_is_not_read_from_the_beginning(tmp_path):
    asked = []

    def with_position():
        data = dataset()
        passes = data.repeat(EPOCHS)

        def from_step(step):
            asked.append(step)
            return passes.skip(step)

        data.from_step = from_step
        return data

    whole, _ = run(regressor, with_position(), tmp_path / "whole", seed=0)
    run(regressor, with_position(), tmp_path / "broken", kill_after=5, seed=0)
    model, _ = run(regressor, with_position(), tmp_path / "broken")
    assert_same_state(model, whole)
    assert asked == [0, 0] * 2 + [0, 4]


def test_a_checkpoint_half_written_is_ignored_and_removed(tmp_path, monkeypatch):
    run(regressor, dataset(), tmp_path / "whole", seed=0)
    real, written = np.savez, []

    def half(file, **arrays):
        written.append(file)
        if len(written) == 2:
            file.write(b"half")
            raise Killed
        real(file, **arrays)

    monkeypatch.setattr(np, "savez", half)
    assert run(regressor, dataset(), tmp_path / "broken", seed=0) is None
    assert len(list((tmp_path / "broken").iterdir())) == 2
    monkeypatch.undo()
    model, _ = run(regressor, dataset(), tmp_path / "broken")
    assert [path.name for path in (tmp_path / "broken").iterdir()] == ["checkpoint.npz"]
    assert_same_state(model, run(regressor, dataset(), tmp_path / "whole")[0])


def test_what_is_resumed_is_said(tmp_path, capsys):
    class Keeper(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.thing = object()

    def said(**arguments):
        capsys.readouterr()
        run(regressor, dataset(), tmp_path, verbose=2, callbacks=[Keeper()], **arguments)
        return capsys.readouterr().out

    assert "Resumed" not in said(kill_after=9)
    out = said()
    assert f"Resumed at epoch 2, step 2 of {STEPS}, from {tmp_path}." in out
    assert "Not in the checkpoint: Keeper.thing" in out
    assert f"{STEPS}/{STEPS}" in out
    assert f"Restored what was trained in 2 epochs, from {tmp_path}." in said()


@pytest.mark.parametrize(
    "make_model, data, message",  # TensorFlow must not start when this file is imported
    [
        (lambda: regressor(units=5), {}, r"variable 1 is `dense/kernel` \(15, 4\) .* there"),
        (recurrent, {}, "must be of the same model"),
        (regressor, {"seed": 1}, "`shuffle` .* a seed"),
        (regressor, {"seed": None}, "`shuffle` .* a seed"),
        (regressor, {"rows": 40}, "must have as many batches as before, 6 an epoch"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(make_model, data, message, tmp_path):
    run(regressor, dataset(), tmp_path, epochs=1)
    with pytest.raises(ValueError, match=message):
        run(make_model, dataset(**data), tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / "checkpoint.npz").write_bytes(b"PK" + bytes(100))
    with pytest.raises(ValueError, match="cannot be read"):
        run(regressor, dataset(), tmp_path)


@pytest.mark.parametrize(
    "data, arguments, error, message",
    [
        (lambda: np.zeros((4, T, D)), {}, TypeError, "must be a tf.data.Dataset"),
        (lambda: dataset().repeat(), {}, ValueError, "`steps_per_epoch` of `resume` must be given"),
        (lambda: dataset().take(0), {}, ValueError, "an empty dataset"),
        (dataset, {"epochs": 0}, ValueError, "`epochs` of resume must be an int of at least 1"),
        (dataset, {"save_every": 0}, ValueError, "`save_every` of resume"),
        (dataset, {"batch_size": 4}, TypeError, "Received: batch_size"),
    ],
)
def test_wrong_arguments_are_refused(data, arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        run(regressor, data(), tmp_path, **arguments)


def test_a_dataset_without_an_order_is_refused(tmp_path):
    options = tf.data.Options()
    options.deterministic = False
    with pytest.raises(ValueError, match="deterministic = False"):
        run(regressor, dataset().with_options(options), tmp_path)


def test_steps_that_an_execution_of_several_does_not_divide_are_refused(tmp_path):
    model = regressor()
    model.compile("sgd", "mse", steps_per_execution=4)
    with pytest.raises(ValueError, match="must be a multiple of the `steps_per_execution`"):
        run(lambda: model, dataset(), tmp_path)


def test_executions_of_several_steps_are_resumed(tmp_path):
    def make_model():
        model = regressor()
        model.compile("adam", "mse", steps_per_execution=3)
        return model

    whole, history = run(make_model, dataset(), tmp_path / "whole", seed=0)
    run(make_model, dataset(), tmp_path / "broken", kill_after=2, seed=0)
    model, resumed = run(make_model, dataset(), tmp_path / "broken")
    assert_same_state(model, whole)
    assert resumed == history


def test_a_backup_and_restore_is_refused(tmp_path):
    callback = keras.callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(ValueError, match="must not have a BackupAndRestore"):
        run(regressor, dataset(), tmp_path, callbacks=[callback])
