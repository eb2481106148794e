"""The mean of the last checkpoints, from files and in memory."""

import keras
import numpy as np
import pytest

from keras_seq.training import AverageCheckpoints, average_checkpoints

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")


def model(units=2, dtype=None):
    inputs = keras.Input((3,))
    x = keras.layers.Dense(units, "tanh", dtype=dtype)(inputs)
    result = keras.Model(inputs, keras.layers.Dense(1, dtype=dtype)(x))
    result.compile(keras.optimizers.SGD(0.5), "mse")
    return result


class KeepEpochs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append([np.array(w, "float32") for w in self.model.get_weights()])


def trained(epochs, *callbacks, **options):
    result, keep = model(**options), KeepEpochs()
    callbacks = [keep, *callbacks]
    result.fit(X, X[:, :1], batch_size=4, epochs=epochs, callbacks=callbacks, verbose=0)
    return result, keep.epochs


def assert_mean(weights, epochs, **tolerance):
    for got, *parts in zip(weights, *epochs, strict=True):
        np.testing.assert_allclose(got, np.mean(parts, axis=0), **{"rtol": 1e-6, **tolerance})


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_the_mean_of_files_is_that_of_their_weights(suffix, tmp_path):
    path = str(tmp_path / ("{epoch}" + suffix))
    only = suffix == ".weights.h5"
    save = keras.callbacks.ModelCheckpoint(path, save_weights_only=only)
    _, epochs = trained(4, save)
    again = model()
    files = [tmp_path / f"{epoch}{suffix}" for epoch in (2, 3, 4)]
    assert average_checkpoints(again, files) is again
    assert_mean(again.get_weights(), epochs[1:])


@pytest.mark.parametrize("epochs, kept", [(4, 3), (2, 2), (1, 1)])
def test_a_model_ends_with_the_mean_of_its_last_epochs(epochs, kept):
    averaged, weights = trained(epochs, AverageCheckpoints(3))
    assert_mean(averaged.get_weights(), weights[-kept:])


def test_weights_in_bfloat16_are_averaged_in_full_precision():
    averaged, epochs = trained(3, AverageCheckpoints(3), dtype="bfloat16")
    assert averaged.weights[0].dtype == "bfloat16"
    assert_mean([np.array(w, "float32") for w in averaged.get_weights()], epochs, rtol=2**-8)


def test_a_second_training_begins_anew():
    average = AverageCheckpoints(5)
    trained(2, average)
    averaged, epochs = trained(2, average)
    assert_mean(averaged.get_weights(), epochs)


def test_counters_are_those_of_the_last_checkpoint(tmp_path):
    class Counter(keras.layers.Layer):
        def build(self, shape):
            self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros")

        def call(self, x):
            return x

    inputs = keras.Input((3,))
    counted = keras.Model(inputs, Counter()(inputs))
    (counter,) = counted.weights
    for i in (1, 4):
        counter.assign(i)
        counted.save_weights(tmp_path / f"{i}.weights.h5")
    average_checkpoints(counted, [tmp_path / "1.weights.h5", tmp_path / "4.weights.h5"])
    assert int(keras.ops.convert_to_numpy(counter)) == 4


@pytest.mark.needs_tensorflow(reason="runs that go on are TensorFlow's")
def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_mean(tmp_path):
    import tensorflow as tf

    from keras_seq.training import resume

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = self.model.optimizer.iterations == 5  # of the third epoch

    data = tf.data.Dataset.from_tensor_slices((X, X[:, :1])).batch(4)
    results = {}
    for folder, stops in (("whole", [()]), ("broken", [[Stop()], (), ()])):
        for more in stops:
            keras.utils.set_random_seed(0)
            run, keep = model(), KeepEpochs()
            callbacks = [keep, AverageCheckpoints(3), *more]
            resume(run, data, tmp_path / folder, epochs=4, callbacks=callbacks, verbose=0)
        results[folder] = run.get_weights()
    assert_mean(results["whole"], keep.epochs[-3:])
    for a, b in zip(*results.values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_file_that_does_not_fit_leaves_the_model_as_it_was(tmp_path):
    model().save_weights(tmp_path / "a.weights.h5")
    model(units=3).save_weights(tmp_path / "b.weights.h5")
    here = model()
    before = here.get_weights()
    with pytest.raises(ValueError):
        average_checkpoints(here, [tmp_path / "a.weights.h5", tmp_path / "b.weights.h5"])
    for a, b in zip(before, here.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="`paths` of average_checkpoints must be a list"):
        average_checkpoints(model(), "model.weights.h5")
    with pytest.raises(ValueError, match="`paths` of average_checkpoints must name"):
        average_checkpoints(model(), [])
    with pytest.raises(ValueError, match="`num_checkpoints` of AverageCheckpoints"):
        AverageCheckpoints(0)
