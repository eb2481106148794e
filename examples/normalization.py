"""Batch against layer normalization: the same Transformer with each, for batches of 1 to 64 rows.

    python examples/normalization.py              # minutes
    python examples/normalization.py --quick

The task: write a sequence of letters backwards, of 4 to `--longest` of them, so rows of a batch
differ in length and a position is looked up by attention. What changes is the normalization alone:

    layer   (x - mean) / std over the D features of a position      (Ba, Kiros & Hinton 2016)
    batch   (x - mean) / std over the positions of all rows, of a feature (Ioffe & Szegedy 2015);
            in use, over what training saw (moving averages)

A batch of few rows gives other means than the next, and other ones than the moving averages that
it is used with; the output of a row depends on the rows beside it, and on how long they are. Layer
normalization knows neither rows nor lengths. Figures: accuracy on held-out rows as trained (means
of the batch) and as used, and how far a row's output moves when it stands with other rows. After
1,500 steps (275 s for all ten models, one busy core, seed 0):

    rows of a batch                                  1     2     4    16    64
    batch normalization, accuracy as trained      0.09  0.47  0.86  0.99  1.00
    batch normalization, accuracy as used         0.06  0.40  0.83  1.00  1.00
    batch normalization, moved by others             -  0.64  0.42  0.26  0.10
    layer normalization, accuracy (both)          0.30  0.36  0.60  1.00  1.00
    layer normalization, moved by others             -     0     0     0     0

With one row batch normalization learns nothing. From 2 to 4 rows it learns this task in fewer steps
than layer normalization, though what is used is not what was trained: it falls by 3 to 7 points.
"""

import experiment  # first: it quiets TensorFlow
import keras
import numpy as np
import tensorflow as tf

import keras_seq
from keras_seq.layers import FeedForward, MultiHeadSelfAttention, PositionalEmbedding

QUICK = {"batch_sizes": [2, 8], "steps": 20, "units": 16, "longest": 8, "held_out": 32}
LETTERS = 20
NORMALIZATIONS = {
    "batch": keras.layers.BatchNormalization,
    "layer": keras.layers.LayerNormalization,
}


def arguments(add):
    add("--batch-sizes", type=int, nargs="+", default=[1, 2, 4, 16, 64])
    add("--steps", type=int, default=1500, help="of training, the same for all batch sizes")
    add("--longest", type=int, default=12, help="letters of the longest sequence")
    add("--units", type=int, default=64, help="width D of the model")
    add("--held-out", type=int, default=128, help="rows that accuracy is measured on")


def backwards(count, longest, seed):
    """x and y (B, T) ids, 0 is padding: y is x from its last letter to its first."""
    rng = np.random.default_rng(seed)
    x, y = np.zeros((2, count, longest), "int32")
    for row, length in enumerate(rng.integers(4, longest + 1, size=count)):
        x[row, :length] = rng.integers(1, LETTERS + 1, size=length)
        y[row, :length] = x[row, :length][::-1]
    return x, y


def build_model(options, normalization):
    """Two encoder blocks, pre-norm, each normalization a layer of the class given."""
    tokens = keras.Input((options.longest,), dtype="int32")
    x = PositionalEmbedding(LETTERS + 1, options.units, options.longest, mask_zero=True)(tokens)
    for _ in range(2):
        y = MultiHeadSelfAttention(num_heads=4, key_dim=options.units // 4)(normalization()(x))
        x = keras.layers.add([x, y])  # which keeps the mask: means are those of letters alone
        y = FeedForward(2 * options.units)(normalization()(x))
        x = keras.layers.add([x, y])
    return keras.Model(tokens, keras.layers.Dense(LETTERS + 1)(normalization()(x)))


def accuracy(model, x, y, batch_size, training):
    """Of the letters; with `training`, in batches as they were in training."""
    right = [
        keras.ops.convert_to_numpy(model(x[i : i + batch_size], training=training)).argmax(-1)
        for i in range(0, len(x), batch_size)
    ]
    return (np.concatenate(right) == y)[y > 0].mean()


def moved_by_neighbors(model, x, batch_size):
    """The mean change of a row's logits, relative to their size, when other rows stand with it.

    As in training; both batches have `batch_size` rows, the first of them the same.
    """
    first, second = x[:batch_size], np.concatenate([x[:1], x[batch_size : 2 * batch_size - 1]])
    a, b = (keras.ops.convert_to_numpy(model(rows, training=True))[0] for rows in (first, second))
    valid = x[0] > 0
    return np.linalg.norm((a - b)[valid]) / np.linalg.norm(a[valid])


def main(command_line=None):
    options = experiment.parse(
        __doc__, arguments, QUICK, command_line=command_line, epochs=1, learning_rate=2e-3
    )
    test = backwards(options.held_out, options.longest, seed=1)
    panels = {name: {} for name in ("accuracy, as trained", "accuracy, as used", "moved by others")}
    seconds = 0.0
    for name, normalization in NORMALIZATIONS.items():
        rows = []
        for size in options.batch_sizes:
            keras.utils.set_random_seed(options.seed)
            x, y = backwards(size * options.steps, options.longest, seed=2)
            weights = (y > 0).astype("float32")
            dataset = tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(size)
            with experiment.strategy(options).scope():
                model = build_model(options, normalization)
                loss = keras_seq.training.SmoothedCrossentropy(
                    0.0, reduction="mean_with_sample_weight"
                )
                model.compile(keras.optimizers.Adam(options.learning_rate), loss)
            history = experiment.train(
                options, model, dataset, monitor="loss", name=f"{name}_{size}"
            )
            seconds += history.seconds
            # A training call moves the averages of a BatchNormalization: first as used, then as
            # trained.
            used = accuracy(model, *test, size, training=False)
            trained = accuracy(model, *test, size, training=True)
            rows.append(
                [trained, used, moved_by_neighbors(model, test[0], size) if size > 1 else np.nan]
            )
            print(f"{name}, {size} rows: " + ", ".join(f"{v:.3f}" for v in rows[-1]), flush=True)
        for panel, line in zip(panels.values(), np.transpose(rows), strict=True):
            panel[f"{name} normalization"] = line
    path = options.output / "normalization.png"
    keras_seq.plots.curves(panels, options.batch_sizes, path, "rows of a batch", "log2")
    print(f"Saved {path}")
    figures = {
        f"{title}, {name}, {size} rows": value
        for title, lines in panels.items()
        for name, line in lines.items()
        for size, value in zip(options.batch_sizes, line, strict=True)
        if np.isfinite(value)  # one row has no others
    }
    experiment.report(options, figures, seconds=seconds)


if __name__ == "__main__":
    main()
