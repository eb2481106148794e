"""Texts in chunks: every step once, in order, with the next token and resets where they belong."""

import numpy as np
import pytest

from keras_seq.training import chunks

DATASET = "the chunks are a tf.data.Dataset"


def rows(dataset):
    """Tokens, resets and targets laid end to end along each row, (B, steps of all batches)."""
    batches = [(x["tokens"], x["reset"], y) for x, y in dataset.as_numpy_iterator()]
    return [np.concatenate(parts, axis=1) for parts in zip(*batches, strict=True)]


@pytest.mark.needs_tensorflow(reason=DATASET)
def test_rows_go_on_from_batch_to_batch():
    text = np.arange(100, 150)
    tokens, reset, targets = rows(chunks(text, batch_size=3, steps=4))
    expected = np.arange(100, 148).reshape(3, 16)  # 4 batches; the last of the 49 steps is left out
    np.testing.assert_array_equal(tokens, expected)
    np.testing.assert_array_equal(targets, expected + 1)
    np.testing.assert_array_equal(reset, np.arange(16) == np.zeros((3, 1)))


@pytest.mark.needs_tensorflow(reason=DATASET)
def test_a_reset_stands_where_a_document_begins_and_no_target_is_of_another_document():
    documents = [np.arange(100 * k, 100 * k + n) for k, n in ((1, 5), (2, 2), (3, 9), (4, 12))]
    tokens, reset, targets = rows(chunks(documents, batch_size=2, steps=4))
    np.testing.assert_array_equal(targets, tokens + 1)
    begins = tokens % 100 == 0
    begins[:, 0] = True
    np.testing.assert_array_equal(reset, begins)
    everything = np.concatenate([ids[:-1] for ids in documents])
    np.testing.assert_array_equal(tokens.ravel(), everything[: tokens.size])


@pytest.mark.needs_tensorflow(reason=DATASET)
def test_chunks_know_their_number_and_types():
    dataset = chunks(list(range(41)), batch_size=2, steps=5)
    inputs, targets = dataset.element_spec
    assert int(dataset.cardinality()) == 4
    assert {name: spec.dtype.name for name, spec in inputs.items()} == {
        "tokens": "int32",
        "reset": "bool",
    }
    assert tuple(inputs["reset"].shape) == tuple(targets.shape) == (2, 5)


@pytest.mark.parametrize(
    "given, message",
    [
        ([np.arange(9), np.arange(1)], "Document 1 .* at least two token ids"),
        (np.zeros((3, 4), int), "one array"),
        ([np.zeros((3, 4), int)], "Document 0 .* one array"),
        (
            np.arange(8),
            "fill one batch: batch_size \\* steps = 2 \\* 4 = 8 steps. Received 7 steps",
        ),
    ],
)
def test_texts_that_cannot_be_cut_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        chunks(given, batch_size=2, steps=4)


def test_ids_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match="must hold integers. Received dtype: float64"):
        chunks(np.zeros(20), batch_size=2, steps=4)


@pytest.mark.parametrize("sizes", [{"batch_size": 0, "steps": 4}, {"batch_size": 2, "steps": 1.5}])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(ValueError, match="of chunks must be an int of at least 1"):
        chunks(np.arange(50), **sizes)
