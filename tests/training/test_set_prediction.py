import itertools

import keras
import numpy as np
import pytest

pytest.importorskip("scipy")

from keras_seq.models import set_detector
from keras_seq.training import SetPrediction

numpy = keras.ops.convert_to_numpy
B, N, M, CLASSES = 3, 4, 2, 5
RNG = np.random.default_rng(0)


def boxes(*shape):
    return np.concatenate(
        [RNG.uniform(0.3, 0.7, (*shape, 2)), RNG.uniform(0.1, 0.5, (*shape, 2))], axis=-1
    ).astype("float32")


PREDICTED = {
    "logits": RNG.normal(size=(B, N, CLASSES + 1)).astype("float32"),
    "boxes": boxes(B, N),
}
OBJECTS = {"labels": np.array([[3, 1], [2, -1], [0, 0]]), "boxes": boxes(B, M)}


def detector(**arguments):
    sizes = {"num_queries": N, "num_layers": 1, "num_heads": 2, "hidden_dim": 8}
    return set_detector((8, 8, 1), CLASSES, filters=(4,), **{**sizes, **arguments})


def loss(predicted=PREDICTED, objects=OBJECTS, **weights):
    trainer = SetPrediction(detector(), **weights)
    predicted, objects = (
        {name: keras.ops.convert_to_tensor(value) for name, value in values.items()}
        for values in (predicted, objects)
    )
    return float(trainer.compute_loss(y=objects, y_pred=predicted))


def giou(a, b):
    (ax, ay, aw, ah), (bx, by, bw, bh) = a, b

    def length(x, w, y, v, outer):
        ends = (x + w / 2, y + v / 2), (x - w / 2, y - v / 2)
        return max(ends[0]) - min(ends[1]) if outer else max(min(ends[0]) - max(ends[1]), 0)

    both = length(ax, aw, bx, bw, False) * length(ay, ah, by, bh, False)
    hull = length(ax, aw, bx, bw, True) * length(ay, ah, by, bh, True)
    union = aw * ah + bw * bh - both
    return both / union - (hull - union) / hull


def expected_loss(l1, weight_of_giou, no_object):
    """The definition, with every assignment tried."""
    exp = np.exp(PREDICTED["logits"].astype("float64"))
    p = exp / exp.sum(axis=-1, keepdims=True)
    entropy = weights = distance = 0.0
    count = (OBJECTS["labels"] >= 0).sum()
    for i in range(B):
        objects = [m for m in range(M) if OBJECTS["labels"][i, m] >= 0]

        def of_box(m, n, i=i):
            t, b = OBJECTS["boxes"][i, m], PREDICTED["boxes"][i, n]
            return l1 * np.abs(t - b).sum() - weight_of_giou * giou(t, b)

        def cost(way, i=i, objects=objects, of_box=of_box):
            return sum(
                of_box(m, n) - p[i, n, OBJECTS["labels"][i, m]]
                for m, n in zip(objects, way, strict=True)
            )

        best = min(itertools.permutations(range(N), len(objects)), key=cost)
        taken = {n: OBJECTS["labels"][i, m] for m, n in zip(objects, best, strict=True)}
        for n in range(N):
            weight = 1.0 if n in taken else no_object
            entropy -= weight * np.log(p[i, n, taken.get(n, CLASSES)])
            weights += weight
        distance += sum(of_box(m, n) + weight_of_giou for m, n in zip(objects, best, strict=True))
    return entropy / weights + distance / count


@pytest.mark.parametrize("weights", [(5.0, 2.0, 0.1), (0.5, 3.0, 1.0)])
def test_the_loss_is_its_definition(weights):
    names = dict(zip(("l1", "giou", "no_object"), weights, strict=True))
    np.testing.assert_allclose(loss(**names), expected_loss(*weights), rtol=1e-5)


def test_neither_the_order_of_predictions_nor_that_of_objects_matters():
    order = RNG.permutation(N)
    predicted = {name: value[:, order] for name, value in PREDICTED.items()}
    objects = {name: value[:, ::-1] for name, value in OBJECTS.items()}
    np.testing.assert_allclose(loss(predicted, objects), loss(), rtol=1e-5)


def test_padding_changes_nothing():
    labels = np.pad(OBJECTS["labels"], ((0, 0), (0, 2)), constant_values=-1)
    wider = {"labels": labels, "boxes": np.concatenate([OBJECTS["boxes"], boxes(B, 2)], axis=1)}
    np.testing.assert_allclose(loss(objects=wider), loss(), rtol=1e-5)
    nothing = {"labels": np.full((B, M), -1), "boxes": boxes(B, M)}
    exp = np.exp(PREDICTED["logits"])
    expected = -np.log(exp[..., -1] / exp.sum(axis=-1)).mean()
    np.testing.assert_allclose(loss(objects=nothing), expected, rtol=1e-5)


def test_right_and_certain_predictions_cost_nothing():
    logits = np.full((B, N, CLASSES + 1), -20.0, "float32")
    logits[..., -1] = 20.0
    found = boxes(B, N)
    for i, m in itertools.product(range(B), range(M)):
        if OBJECTS["labels"][i, m] >= 0:
            logits[i, m + 1] = -20.0
            logits[i, m + 1, OBJECTS["labels"][i, m]] = 20.0
            found[i, m + 1] = OBJECTS["boxes"][i, m]
    assert abs(loss({"logits": logits, "boxes": found})) < 1e-4


def test_the_losses_of_auxiliary_outputs_are_added():
    other = {"logits": PREDICTED["logits"][:, ::-1] + 1, "boxes": boxes(B, N)}
    auxiliary = {f"auxiliary_{name}": value[:, None] for name, value in other.items()}
    np.testing.assert_allclose(loss({**PREDICTED, **auxiliary}), loss() + loss(other), rtol=1e-5)


def test_fit_learns_where_a_bright_square_is_and_the_trainer_saves(tmp_path):
    places = RNG.integers(0, 2, (32, 2))
    images = np.zeros((32, 8, 8, 1), "float32")
    for image, (row, column) in zip(images, places, strict=True):
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 1.0
    sizes = np.full((32, 2), 0.5)
    squares = np.concatenate([0.25 + 0.5 * places[:, ::-1], sizes], axis=1)[:, None]
    objects = {"labels": places[:, :1], "boxes": squares.astype("float32")}
    x = keras.Input((8, 8, 1))
    y = keras.layers.Dense(32, "relu")(keras.layers.Flatten()(x))
    logits, b = keras.layers.Dense(N * (CLASSES + 1))(y), keras.layers.Dense(N * 4, "sigmoid")(y)
    shapes = keras.layers.Reshape((N, CLASSES + 1)), keras.layers.Reshape((N, 4))
    model = keras.Model(x, {"logits": shapes[0](logits), "boxes": shapes[1](b)})
    trainer = SetPrediction(model)
    trainer.compile(keras.optimizers.Adam(1e-2))
    history = trainer.fit(images, objects, epochs=30, batch_size=16, verbose=0).history
    assert set(history) == {"loss", "class_loss", "l1_loss", "giou_loss"}
    parts = history["class_loss"][-1] + 5 * history["l1_loss"][-1] + 2 * history["giou_loss"][-1]
    np.testing.assert_allclose(history["loss"][-1], parts, rtol=1e-4)
    assert history["loss"][-1] < history["loss"][0] / 3

    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.models.load_model(tmp_path / "trainer.keras")
    assert (loaded.l1, loaded.giou, loaded.no_object) == (5.0, 2.0, 0.1)
    assert loaded.optimizer.iterations == 60  # it can go on
    expected = numpy(model(images)["boxes"])
    np.testing.assert_allclose(numpy(loaded(images)["boxes"]), expected, atol=1e-5)


def test_models_weights_and_targets_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="`no_object` of SetPrediction is a weight"):
        SetPrediction(detector(), no_object=-1)
    x = keras.Input((3,))
    with pytest.raises(ValueError, match="`logits` and `boxes` among them"):
        SetPrediction(keras.Model(x, keras.layers.Dense(2)(x)))
    with pytest.raises(ValueError, match=r"must be a dict of `labels` \(B, M\) and `boxes`"):
        SetPrediction(detector()).compute_loss(y=OBJECTS["labels"], y_pred=PREDICTED)


@pytest.mark.needs_tensorflow(reason="other backends can compile the matching")
def test_xla_is_refused():
    with pytest.raises(ValueError, match="`jit_compile` of SetPrediction.compile cannot be True"):
        SetPrediction(detector()).compile("adam", jit_compile=True)
