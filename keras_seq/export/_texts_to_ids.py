"""What is exported with a tokenizer before it: texts to padded ids, in TensorFlow's operators."""

import json

import numpy as np

from keras_seq.generation._padding import padded_width
from keras_seq.layers._text import check_encodable

# All that `str.strip` takes away, in RE2.
_BLANK = r"[\p{Z}\t-\r\x1c-\x1f\x{85}]*"


def padded_ids(
    tokenizer, texts, pad_token, limit=None, too_long="error", width=None, few_widths=False
):
    """Ids (B, T) int32 of (B,) strings, padded on the right; to be traced.

    A text that is empty, or too long, is an error of the call.

    Args:
        tokenizer: see `check_tokenizer`.
        texts: (B,) string tensor.
        pad_token: the id that pads.
        limit: the largest number of ids of a text, or `None`.
        too_long: see `TextClassifier`.
        width: T, or `None`: the longest row's length.
        few_widths: whether T is rounded up as by `padded_width`, for a function that is compiled
            for each shape.
    """
    import tensorflow as tf

    empty = tf.strings.regex_full_match(texts, _BLANK)
    checks = [tf.debugging.Assert(~tf.reduce_any(empty), ["texts must not be empty"])]
    with tf.control_dependencies(checks):
        ids = tf.cast(tokenizer(tf.identity(texts)), "int32")
    if limit is not None and too_long == "error":
        fits = tf.reduce_all(ids.row_lengths() <= limit)
        checks = [tf.debugging.Assert(fits, [f"texts must have at most {limit} tokens each"])]
    elif limit is not None:
        ids = ids[:, :limit] if too_long == "keep_first" else ids[:, -limit:]
    with tf.control_dependencies(checks):
        ids = ids.to_tensor(pad_token)  # (B, longest)
    longest = tf.maximum(tf.shape(ids)[1], 1)  # a text may have no ids
    if few_widths and width is None:
        longest = _rounded_up(longest, limit)
    wider = [[0, 0], [0, (longest if width is None else width) - tf.shape(ids)[1]]]
    return tf.ensure_shape(tf.pad(ids, wider, constant_values=pad_token), (None, width))


def _rounded_up(length, limit):
    """`padded_width` of a scalar tensor."""
    import tensorflow as tf

    widths = sorted({padded_width(n << k) for k in range(24) for n in (1, 3)})
    padded = tf.gather(widths, tf.searchsorted(widths, length[None])[0])
    return padded if limit is None else tf.minimum(padded, limit)


def check_tokenizer(name, tokenizer):
    """Raise unless a tokenizer is made of TensorFlow's operators, texts to ragged ids.

    Raises:
        TypeError: saying what to use instead.
    """
    import tensorflow as tf

    traced, reason = [], ""
    function = tf.function(lambda texts: traced.append(tokenizer(texts)), autograph=False)
    try:
        function.get_concrete_function(tf.TensorSpec((None,), "string"))
    except Exception as error:  # of anybody's tokenizer
        reason = f": {type(error).__name__}"
    if not traced or not isinstance(traced[0], tf.RaggedTensor):
        raise TypeError(
            f"`{name}` must turn a tensor of strings into ragged ids by TensorFlow's operators, "
            f"for a SavedModel holds no Python. Received: {type(tokenizer).__name__}, which does "
            f"not{reason}. Use a tokenizer of keras_seq.data.train_tokenizer or KerasHub."
        )


def checked_texts(texts):
    """A list of `texts`, those of them that are strings encodable."""
    if isinstance(texts, (list, tuple)):
        for i, text in enumerate(texts):
            if isinstance(text, str):
                check_encodable(f"texts[{i}]", text)
    return texts


def call_of(texts):
    """The call of an artifact with a list of strings; NumPy's own would drop final NULs."""
    return {"texts": np.array(json.dumps(texts))}


def random_texts(tokenizer, limit, count=64):
    """Texts of random tokens that the tokenizer reads back as something within the limit.

    The first has one token, or as few as can be, the second as many as the limit allows.

    Raises:
        ValueError: if there are none.
    """
    rng, size = np.random.default_rng(0), tokenizer.vocabulary_size()

    def fitting(lengths):
        """Dict from text to its number of tokens."""
        rows = [[int(t) for t in rng.integers(4, size, size=n)] for n in lengths]
        texts = [str(tokenizer.detokenize(row)) for row in rows]
        counts = [len(row) for row in tokenizer(texts)]
        pairs = zip(texts, counts, strict=True)
        return {text: n for text, n in pairs if text.strip() and n <= (limit or n)}

    longest = limit or 16
    texts = fitting([1 + i % max(1, longest // 2) for i in range(count)])
    if not texts:
        raise ValueError("`texts` must be given: random ones do not fit this tokenizer.")
    # How many tokens a text of random tokens is read as is known only afterwards.
    nearly = {max(1, longest - n) for n in (*range(16), *range(16, longest, longest // 16 + 1))}
    long = fitting(sorted(nearly)) or texts
    return list(dict.fromkeys([min(texts, key=texts.get), max(long, key=long.get), *texts]))
