"""Loops that compile themselves: equal to plain ones, few compilations, none in files."""

import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from keras_seq import layers

pytestmark = pytest.mark.needs_tensorflow(reason="other backends compile whole functions")

LAYERS = {
    "lstm": lambda: layers.LSTM(4, return_sequences=True, return_state=True),
    "lstm backwards": lambda: layers.LSTM(4, go_backwards=True, return_sequences=True),
    "lstm in segments": lambda: layers.LSTM(4, recompute=3, return_sequences=True),
    "gru": lambda: layers.GRU(4, return_sequences=True),
    "gru, reset before": lambda: layers.GRU(4, reset_after=False),
    "peephole": lambda: layers.RNN(layers.PeepholeLSTMCell(4), return_sequences=True),
    "layer norm": lambda: layers.RNN(layers.LayerNormLSTMCell(4)),
    "zoneout": lambda: layers.RNN(layers.LSTMCell(4, zoneout=0.2), return_sequences=True),
}


def shaken(layer, x, rng):
    layer(x)
    for w in layer.weights:
        w.assign(np.asarray(w) + 0.3 * rng.normal(size=w.shape))
    return layer


def xla_functions(function):
    """Names of the XLA functions in the graph of a concrete function."""
    definition = function.graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    return [n.name for n in nodes if n.attr["_XlaMustCompile"].b]


def flat(outputs):
    import tensorflow as tf

    return tf.concat([tf.reshape(y, [-1]) for y in keras.tree.flatten(outputs)], 0)


def gradients(layer, arguments):
    """A function of x that gives the outputs and the gradients by x and the weights."""
    import tensorflow as tf

    def function(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = flat(layer(x, **arguments))
            loss = tf.reduce_sum(tf.sin(y) * y)
        weights = [w.value for w in layer.trainable_variables]
        return [y, *tape.gradient(loss, [x, *weights])]

    return function


@pytest.mark.parametrize("sizes, steps", [("known", "plain"), ("unknown", "masked and reset")])
@pytest.mark.parametrize("name", LAYERS)
def test_it_gives_the_numbers_and_gradients_of_the_plain_loop(name, steps, sizes, rows=17, time=7):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(rows, time, 3)), "float32")
    layer = shaken(LAYERS[name](), x, rng)
    arguments = {}
    if steps != "plain":
        arguments["mask"] = tf.constant(rng.integers(0, 2, (rows, time)).astype(bool))
        arguments["reset"] = tf.constant(rng.integers(0, 4, (rows, time)) == 0)
    spec = tf.TensorSpec(x.shape if sizes == "known" else (None, None, 3), "float32")
    compiled = tf.function(gradients(layer, arguments)).get_concrete_function(spec)
    with layers.plain_loops():
        plain = tf.function(gradients(layer, arguments)).get_concrete_function(spec)
    assert not xla_functions(plain)
    assert bool(xla_functions(compiled)) == (name != "gru, reset before")
    for got, expected in zip(compiled(x), plain(x), strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(got, expected, atol=3e-5 * scale, rtol=0)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_gradients_of_gradients_are_those_of_the_plain_loop(name):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, 5, 3)), "float32")
    layer = shaken(LAYERS[name](), x, rng)

    def penalty(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, *first = gradients(layer, {})(x)
            loss = tf.reduce_sum(flat(first) ** 2)
        return tape.gradient(loss, [x, *(w.value for w in layer.trainable_variables)])

    compiled = tf.function(penalty).get_concrete_function(x)
    assert xla_functions(compiled)
    with layers.plain_loops():
        expected = penalty(x)
    for got, e in zip(compiled(x), expected, strict=True):
        np.testing.assert_allclose(got, e, atol=1e-4 * np.abs(e).max())


def small_model():
    x = keras.Input((None, 3))
    y = layers.LSTM(4)(layers.GRU(4, return_sequences=True)(x))
    return keras.Model(x, keras.layers.Dense(1)(y))


@pytest.mark.parametrize(
    "options",
    [{}, {"steps_per_execution": 3}, {"run_eagerly": True}, {"jit_compile": True}],
    ids=str,
)
def test_fit_evaluate_and_predict_give_the_same_in_all_ways_to_run(options):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 6, 3)).astype("float32")
    y = rng.normal(size=(20, 1)).astype("float32")
    keras.utils.set_random_seed(1)
    model = small_model()
    start = model.get_weights()
    results = []
    for chosen in ({"run_eagerly": True}, options):
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.1), "mse", **chosen)
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
        loss = model.evaluate(x, y, batch_size=7, verbose=0)
        results.append([*model.get_weights(), loss, model.predict(x, batch_size=8, verbose=0)])
    np.testing.assert_allclose(results[1][-1], model(x), atol=1e-5)
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_plain_fit_evaluate_and_predict_hold_xla_functions(monkeypatch):
    from keras_seq.layers.recurrent import _scan_tensorflow

    made = []
    self_compiled = _scan_tensorflow.self_compiled
    monkeypatch.setattr(
        _scan_tensorflow,
        "self_compiled",
        lambda *arguments: made.append(1) or self_compiled(*arguments),
    )
    x, y = np.ones((4, 6, 3), "float32"), np.ones((4, 1), "float32")
    model = small_model()
    model.compile("sgd", "mse")
    for run, loops in (
        (lambda: model.fit(x, y, verbose=0), 4),  # two layers, forwards and backwards
        (lambda: model.evaluate(x, y, verbose=0), 2),
        (lambda: model.predict(x, verbose=0), 2),
        (lambda: model.train_on_batch(x, y), 4),
        (lambda: model.test_on_batch(x, y), 2),
        (lambda: model.predict_on_batch(x), 2),
    ):
        made.clear()
        model.train_function = model.test_function = model.predict_function = None
        run()
        assert made and len(made) % loops == 0  # Keras may make its function for two shapes


def test_files_hold_no_xla_function(tmp_path):
    import tensorflow as tf

    x, y = np.ones((4, 6, 3), "float32"), np.ones((4, 1), "float32")
    model = small_model()
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    expected = model.predict(x, verbose=0)
    model.export(tmp_path / "keras", verbose=False)
    tf.saved_model.save(model, str(tmp_path / "tensorflow"))
    for name, signature in (("keras", "serve"), ("tensorflow", "serving_default")):
        loaded = tf.saved_model.load(str(tmp_path / name))
        function = loaded.signatures[signature]
        assert not xla_functions(function)
        (got,) = function(tf.constant(x)).values()
        np.testing.assert_allclose(got, expected, atol=1e-5)


COUNT = """
    import os, sys, tempfile
    folder = tempfile.mkdtemp()
    os.environ["XLA_FLAGS"] = f"--xla_dump_to={folder} --xla_dump_hlo_as_text"
    import keras, numpy as np, tensorflow as tf
    from keras_seq import layers
    def batches():
        rng = np.random.default_rng(0)
        for _ in range(BATCHES):
            rows = ROWS
            yield rng.normal(size=(rows, rng.integers(1, 401), 2)), np.ones((rows, 1))
    spec = tf.TensorSpec((None, None, 2)), tf.TensorSpec((None, 1))
    data = tf.data.Dataset.from_generator(batches, output_signature=spec)
    x = keras.Input((None, 2))
    model = keras.Model(x, keras.layers.Dense(1)(layers.LSTM(3)(x)))
    model.compile("sgd", "mse")
    model.fit(data, verbose=0)
    print(len({f.split(".")[0] for f in os.listdir(folder) if f.startswith("module_")}))
"""


def compilations(**values):
    """How many XLA computations a process compiles that fits batches of many lengths."""
    code = textwrap.dedent(COUNT)
    for name, value in values.items():
        code = code.replace(name, str(value))
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return int(run.stdout.split()[-1])


def test_lengths_from_1_to_400_need_at_most_12_compilations():
    # One layer, forwards and backwards: two for each of the five powers of two from 32 to 512.
    assert 0 < compilations(BATCHES=500, ROWS=4) <= 12


@pytest.mark.thorough
def test_numbers_of_rows_from_1_to_64_need_a_bounded_number_of_compilations():
    assert compilations(BATCHES=300, ROWS="rng.integers(1, 65)") <= 31 * 5 * 2


def test_replicas_of_a_distributed_model_compile_themselves():
    code = """
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import keras, numpy as np
    from keras_seq import layers
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 5, 3)).astype("float32"), rng.normal(size=(8, 1)).astype("float32")
    def trained():
        keras.utils.set_random_seed(1)
        inputs = keras.Input((5, 3))
        model = keras.Model(inputs, keras.layers.Dense(1)(layers.LSTM(4)(inputs)))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        return model.get_weights() + [model.predict(x, verbose=0)]
    alone = trained()
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        distributed = trained()
    for a, b in zip(alone, distributed):
        np.testing.assert_allclose(a, b, atol=1e-5)
    print("equal")
    """
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.stdout.split()[-1:] == ["equal"], run.stderr[-2000:]
