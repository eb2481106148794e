import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from keras_seq.export.workers.int8_tables import share_tables
from keras_seq.export.workers.small_file import packed

V, D = 200, 16
IDS = np.int32([[3, 150, 7, 199]])


def rows_and_logits(table, ids):
    """An embedding that is tied to the logits."""
    rows = tf.gather(table, ids)
    return {"rows": rows, "logits": tf.matmul(tf.reshape(rows, (-1, D)), table, transpose_b=True)}


def rows_and_loop(table, ids):
    """As `rows_and_logits`, with other lookups and the product in a loop."""

    def body(t, last, logits):
        rows = tf.gather(table, tf.reshape(last, (1,)))  # (1, D)
        logits = tf.matmul(rows, table, transpose_b=True)
        return t + 1, tf.argmin(logits[0], output_type="int32"), logits

    state = (0, ids[0, 0], tf.zeros((1, V)))
    *_, logits = tf.while_loop(lambda t, *_: t < 3, body, state)
    return {"rows": tf.gather(table, ids), "logits": logits}


def rows_alone(table, ids):
    return {"rows": tf.gather(table, ids)}


def rows_and_sums(table, ids):
    """The table is also read as a whole."""
    return {"rows": tf.gather(table, ids), "sums": tf.reduce_sum(tf.exp(table), axis=0)}


def first_rows(table, ids):
    """As many as a sequence has time steps, of each that is given."""
    return {"rows": table[: tf.shape(ids)[1]]}


def first_rows_and_loop(table, ids):
    """The loop looks up rows of the same table."""

    def body(t, last):
        row = tf.gather(table, tf.reshape(t, (1,)))  # (1, D)
        return t + 1, last + row

    _, total = tf.while_loop(lambda t, _: t < 3, body, (0, tf.zeros((1, D))))
    return {**first_rows(table, ids), "total": total}


def first_rows_and_sums(table, ids):
    return {
        **first_rows(table, ids),
        "sums": tf.reduce_sum(table * tf.cast(ids[0, 0], "float32"), axis=0),
    }


def random_table():
    """(V, D), of rows whose numbers are of very different size."""
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-2, 1, (V, 1))
    return (sizes * rng.normal(size=(V, D))).astype("float32")


def converted(function, shape=IDS.shape):
    """`(table, file)` with int8 weights, as TFLite's converter writes it."""
    module = tf.Module()
    module.table = tf.Variable(random_table())
    spec = tf.TensorSpec(shape, "int32", "ids")
    module.run = tf.function(lambda ids: function(module.table, ids), autograph=False)
    concrete = [module.run.get_concrete_function(spec)]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(concrete, module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return module.table.numpy(), converter.convert()


def with_shared_tables(content):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    share_tables(model)
    return packed(model)


def run(content, ids=IDS):
    """Dict from output name to array."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    (signature,) = interpreter.get_signature_list()
    return interpreter.get_signature_runner(signature)(ids=ids)


def tables(content):
    """How many int8 constants of the table's size a file holds."""
    return sum(len(data) == V * D for data in constants(content))


def constants(content):
    model = schema.Model.GetRootAs(content, 0)
    buffers = map(model.Buffers, range(model.BuffersLength()))
    return [buffer.DataAsNumpy() for buffer in buffers if not buffer.DataIsNone()]


@pytest.fixture(scope="module", params=[rows_and_logits, rows_and_loop])
def tied(request):
    """`(table, file as the converter writes it, file with shared tables)`."""
    table, content = converted(request.param)
    return table, content, with_shared_tables(content)


def test_a_table_of_lookups_and_of_a_product_is_stored_once(tied):
    _, before, after = tied
    assert (tables(before), tables(after)) == (2, 1)
    assert len(after) < len(before)


def test_each_row_is_rounded_by_its_own_largest_number(tied):
    table, before, after = tied
    rows = table[IDS]
    steps = abs(rows).max(axis=-1, keepdims=True) / 127
    assert np.all(abs(run(after)["rows"] - rows) <= 0.501 * steps)
    assert np.any(abs(run(before)["rows"] - rows) > steps)


def test_products_are_those_of_the_rows(tied):
    table, _, after = tied
    outputs = run(after)
    rows = table[IDS[0]]
    if len(outputs["logits"]) == 1:  # of the loop
        token = IDS[0, 0]
        for _ in range(2):
            token = (table[token] @ table.T).argmin()
        rows = table[[token]]
    expected = rows @ table.T
    scale = abs(expected).max(axis=-1, keepdims=True)
    assert np.all(abs(outputs["logits"] - expected) <= 0.02 * scale)


@pytest.mark.parametrize(("function", "before"), [(first_rows, 0), (first_rows_and_loop, 1)])
def test_a_table_of_which_rows_are_cut_off_is_one_of_int8(function, before):
    table, content = converted(function, (1, None))
    shared = with_shared_tables(content)
    assert (tables(content), tables(shared)) == (before, 1)
    assert not any(len(data) == 4 * V * D for data in constants(shared))
    for length in (1, 5):
        ids = np.zeros((1, length), "int32")
        outputs = run(shared, ids)
        np.testing.assert_allclose(
            outputs["rows"], table[:length], atol=0.51 * abs(table).max() / 127
        )
        if "total" in outputs:
            np.testing.assert_array_equal(outputs["total"], run(content, ids)["total"])


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (first_rows_and_sums, (1, None)),
        (rows_alone, IDS.shape),
        (rows_and_sums, IDS.shape),
        (rows_and_logits, (None, None)),
    ],
)
def test_other_files_compute_what_they_did(function, shape):
    _, content = converted(function, shape)
    shared = with_shared_tables(content)
    assert tables(shared) == tables(content)
    for name, expected in run(content).items():
        np.testing.assert_array_equal(run(shared)[name], expected)
