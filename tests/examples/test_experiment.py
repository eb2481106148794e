import json
import pathlib
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_seq

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))
import experiment

QUICK = {"epochs": 3, "units": 4}


def own_arguments(add):
    add("--units", type=int, default=64)
    add("--text", default="")


def parse(folder, *command_line):
    return experiment.parse(
        "An example.",
        own_arguments,
        quick=QUICK,
        without=["text"],
        command_line=[*command_line, "--output", str(folder)],
        dataset="imdb_reviews",
        epochs=20,
        batch_size=8,
        learning_rate=1e-2,
    )


@pytest.fixture(autouse=True)
def _global_settings_as_before():
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


def make_model(options):
    inputs = keras.Input((5, 2))
    x = keras_seq.layers.GRU(options.units, dropout=0.3)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(keras.optimizers.Adam(options.learning_rate), "mse")
    return model


def make_data(options):
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 5, 2)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, x.sum((1, 2))[:, None]))
    return data.shuffle(40, seed=options.seed).batch(options.batch_size)


def test_quick_changes_defaults_and_what_the_command_line_names_goes_before(tmp_path):
    assert parse(tmp_path).epochs == 20
    assert parse(tmp_path).dataset == "imdb_reviews"
    quick = parse(tmp_path, "--quick", "--units", "6")
    assert (quick.epochs, quick.units, quick.dataset) == (3, 6, None)
    assert parse(tmp_path, "--quick", "--dataset", "mine").dataset == "mine"


def test_the_dtype_policy_is_set(tmp_path):
    parse(tmp_path, "--dtype-policy", "mixed_bfloat16")
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


def test_a_broken_training_goes_on_to_the_weights_of_an_unbroken_one(tmp_path):
    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    weights = {}
    for name in ("unbroken", "broken"):
        options = parse(tmp_path / name, "--quick")
        model = make_model(options)
        if name == "broken":
            with pytest.raises(KeyboardInterrupt):
                data = make_data(options)
                experiment.train(options, model, data, data, callbacks=[Break()])
            options = parse(tmp_path / name, "--quick")
            model = make_model(options)
        history = experiment.train(options, model, make_data(options), make_data(options))
        assert len(history.history["val_loss"]) == 3
        assert history.seconds > 0
        weights[name] = model.get_weights()
    for a, b in zip(weights["unbroken"], weights["broken"], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_best_epoch_is_kept_and_restored_by_the_same_command(tmp_path, capsys):
    options = parse(tmp_path, "--quick")
    model, data = make_model(options), make_data(options)
    # The largest loss is called the best, so that the last epoch is not.
    history = experiment.train(options, model, data, data, mode="max").history["val_loss"]
    best = max(history)
    assert best > history[-1]
    assert model.evaluate(data, verbose=0) == pytest.approx(best, rel=1e-5)
    saved = keras.saving.load_model(tmp_path / "model.keras")
    assert saved.evaluate(data, verbose=0) == pytest.approx(best, rel=1e-5)
    assert list(tmp_path.glob("logs/model/*/events*"))
    assert (tmp_path / "model_learning_curves.png").exists()

    options = parse(tmp_path, "--quick", "--text", "new")
    again = make_model(options)
    data = make_data(options)
    capsys.readouterr()
    assert experiment.train(options, again, data, data, mode="max").history["val_loss"] == history
    assert "Restored what was trained in 3 epochs" in capsys.readouterr().out
    assert again.evaluate(data, verbose=0) == pytest.approx(best, rel=1e-5)


def test_other_settings_and_retrain_begin_anew(tmp_path, capsys):
    for more in ((), ("--units", "5"), ("--retrain",)):
        options = parse(tmp_path, "--quick", "--epochs", "1", *more)
        experiment.train(options, make_model(options), make_data(options), make_data(options))
        assert "Restored" not in capsys.readouterr().out


def test_figures_are_printed_and_written_with_the_command(tmp_path, capsys):
    options = parse(tmp_path, "--quick")
    experiment.report(options, {"test accuracy": 0.88712}, seconds=3.0)
    assert "test accuracy: 0.8871" in capsys.readouterr().out
    content = json.loads((tmp_path / "figures.json").read_text())
    assert content["figures"] == {"test accuracy": 0.88712}
    assert content["seconds"] == 3.0
    assert content["command"].startswith("python ")
