"""The mean of the weights of several checkpoints of a run."""

import os

import keras
import numpy as np

from keras_seq.layers._arguments import check_positive


def average_checkpoints(model, paths):
    r"""Give a model the mean of the weights of several checkpoints.

        w = (w_1 + ... + w_N) / N

    Vaswani et al. 2017, section 6.1, average the last 5 checkpoints of a Transformer, ten minutes
    apart; fairseq's `average_checkpoints.py` and JoeyNMT's do the same. The mean of the
    last epochs lies nearer to the middle of the region that the noise of training moves in.
    Checkpoints must be of one run: weights of two runs have no common order of units.

    Weights that are no floats (counters) are those of the last file. The moving averages of a
    `BatchNormalization` are averaged as weights are, and are not the statistics of the mean model.

    Args:
        model: `keras.Model` that the files fit.
        paths: list of files as `ModelCheckpoint` writes them, `.weights.h5` or `.keras`.

    Returns:
        `model`.

    Raises:
        TypeError: if `paths` is one path and no list.
        ValueError: if there is no path, or a file does not fit the model; the model keeps its
            weights.

    Example:

    ```python
    import pathlib
    import tempfile
    import keras
    import numpy as np
    from keras_seq.training import average_checkpoints

    folder = pathlib.Path(tempfile.mkdtemp())
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    name = str(folder / "{epoch:03d}.weights.h5")
    save = keras.callbacks.ModelCheckpoint(name, save_weights_only=True)
    x = np.random.default_rng(0).normal(size=(8, 3))
    model.fit(x, x[:, :1], epochs=4, callbacks=[save], verbose=0)

    average_checkpoints(model, sorted(folder.glob("*.weights.h5"))[-2:])  # of the last two epochs
    ```
    """
    if isinstance(paths, (str, os.PathLike)):
        raise TypeError(
            "`paths` of average_checkpoints must be a list of files. Received: the one path "
            f"{os.fspath(paths)!r}"
        )
    paths = [os.fspath(path) for path in paths]
    if not paths:
        raise ValueError(
            "`paths` of average_checkpoints must name at least one file. Received: none"
        )
    before = model.get_weights()
    try:
        weights = _mean(_load(model, path) for path in paths)
    except BaseException:
        model.set_weights(before)
        raise
    model.set_weights(weights)
    return model


class AverageCheckpoints(keras.callbacks.Callback):
    r"""Keeps the weights of the last epochs; the trained model has their mean.

    What `average_checkpoints` does with files, in memory. While a model trains, it has the weights
    that the optimizer gave it, and metrics and `ModelCheckpoint` are of those; when training ends,
    it gets the mean. `keras_seq.training.resume` keeps the weights of the last epochs in its
    checkpoint, so a run that is killed ends with the same mean, and a run that gets more epochs
    goes on from the weights of the last one.

    It is for runs of a fixed length: with `EarlyStopping`, whose `restore_best_weights` gives the
    model other weights at the same time, the later one in the list has its way. For a mean that is
    exponentially weighted, and evaluated while training goes on, Keras' optimizers have `use_ema`
    and there is `keras.callbacks.SwapEMAWeights`.

    Args:
        num_checkpoints: how many epochs, the last ones, or all if there are fewer.

    Raises:
        ValueError: if `num_checkpoints` is below 1.

    Example:

    ```python
    import keras
    import numpy as np
    from keras_seq.training import AverageCheckpoints

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(8, 3))
    average = AverageCheckpoints(num_checkpoints=2)
    model.fit(x, x[:, :1], epochs=4, callbacks=[average], verbose=0)
    kernels = [weights[0] for weights in average.checkpoints]  # of the last two epochs
    np.testing.assert_allclose(model.get_weights()[0], np.mean(kernels, axis=0), rtol=1e-6)
    ```
    """

    def __init__(self, num_checkpoints=5):
        super().__init__()
        check_positive("AverageCheckpoints", num_checkpoints=num_checkpoints)
        self.num_checkpoints = num_checkpoints
        self.checkpoints = []

    def on_train_begin(self, logs=None):
        self.checkpoints = []

    def on_epoch_end(self, epoch, logs=None):
        weights = [_widened(array) for array in self.model.get_weights()]
        self.checkpoints = [*self.checkpoints, weights][-self.num_checkpoints :]

    def on_train_end(self, logs=None):
        if self.checkpoints:
            self.model.set_weights(_mean(self.checkpoints))


def _load(model, path):
    model.load_weights(path)
    return model.get_weights()


def _widened(array):
    """A copy, in float32 where it is of a type that NumPy itself does not have (bfloat16)."""
    array = np.array(array)
    return array.astype("float32") if array.dtype.kind == "V" else array


def _mean(checkpoints):
    """The mean of lists of arrays, each of the type of the last; integers are those of the last."""
    sums, count = None, 0
    for arrays in checkpoints:
        wide = [a if a.dtype.kind in "biu" else a.astype("float64") for a in arrays]
        if sums is not None:
            wide = [a if a.dtype.kind in "biu" else a + s for a, s in zip(wide, sums, strict=True)]
        sums, count = wide, count + 1
    return [
        s if s.dtype.kind in "biu" else (s / count).astype(a.dtype)
        for a, s in zip(arrays, sums, strict=True)
    ]
