"""Checks of token ids, prompts and inputs, in NumPy, before any computation."""

import numpy as np
from keras import ops

from keras_seq.stepping._keras_private import functional_of, graph_nodes, is_functional
from keras_seq.stepping._target_graph import input_names, vocabulary_size


def check_exportable(generator):
    """Raise unless what `generator` does can stand in a file: a loop that draws no numbers."""
    strategy = generator.strategy
    several = getattr(strategy, "num_return_sequences", None) is not None
    if getattr(strategy, "needs_seed", False) or several:
        raise ValueError(
            f"A generator with {type(generator.sampler).__name__} cannot be exported: a file gives "
            "one sequence a row, the same at every call. Build the Generator for export with "
            '`sampler="greedy"`, or a BeamSampler without `num_return_sequences` and '
            "`return_all_beams`."
        )


def check_ids(name, ids, limit):
    """Raise unless `ids` are ints in [0, limit); where that is `None`, ints that need be no ids."""
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(f"`{name}` must hold int token ids. Received dtype: {ids.dtype}")
    if ids.size == 0:
        raise ValueError(f"`{name}` is empty. Received shape: {ids.shape}")
    if limit is not None and (ids.min() < 0 or ids.max() >= limit):
        bad = sorted({int(i) for i in ids.ravel() if not 0 <= i < limit})
        raise ValueError(
            f"`{name}` must hold token ids in [0, {limit}), the model's vocabulary. "
            f"Received: {bad[:5]}"
        )


def checked_inputs(stepper, inputs):
    """The context inputs as a dict of NumPy arrays of the model's dtypes.

    Raises:
        TypeError, ValueError: if one is missing, unknown, of another shape than the model's or
            another batch size than the others, too long, or holds ids that the model does not know.
    """
    names = stepper.context_inputs
    if inputs is None and not names:
        return {}
    if len(names) == 1 and _is_nested(inputs, stepper.graph.inputs[names[0]]):
        inputs = {names[0]: inputs}  # one array written as lists, no list of arrays
    checked, sizes = {}, {}
    for name, value in stepper.named_context(inputs).items():
        argument, symbolic = f"inputs[{name!r}]", stepper.graph.inputs[name]
        ids = symbolic.dtype.startswith(("int", "uint"))
        if ids and len(symbolic.shape) == 2 and _is_nested(value, symbolic):
            value, _ = _padded_lists(argument, value, pad_token=0)
        value = ops.convert_to_numpy(value)
        expected = tuple(symbolic.shape)
        fits = len(value.shape) == len(expected) and all(
            size in (None, n) for size, n in zip(expected, value.shape, strict=True)
        )
        if not fits:
            raise ValueError(f"`{argument}` must have shape {expected}. Received: {value.shape}")
        if not value.shape[0]:
            raise ValueError(f"`{argument}` has no rows. Received shape: {value.shape}")
        if ids:
            check_ids(argument, value, vocabulary_size(stepper.model, name))
        if len(expected) == 2:
            check_positions(stepper.model, name, value.shape[1], f"`{argument}`")
        checked[name] = value.astype(symbolic.dtype)
        sizes[name] = value.shape[0]
    if len(set(sizes.values())) > 1:
        raise ValueError(f"`inputs` must have one batch size. Received: {sizes}")
    return checked


def _is_nested(value, symbolic):
    """Whether `value` is a list of rows of numbers for the input `symbolic`, ragged perhaps."""

    def depth(x):
        if not isinstance(x, (list, tuple)):
            return np.ndim(x)
        return 1 + max((depth(item) for item in x), default=0)

    return isinstance(value, (list, tuple)) and depth(value) == len(symbolic.shape)


def check_positions(model, input_name, length, subject):
    """Raise if `length` tokens of an input are more than its embedding has positions for.

    Args:
        model: functional model.
        input_name: of the input.
        length: T.
        subject: what has this length, for the error.
    """
    limit = positions(model, input_name)
    if limit is not None and length > limit:
        raise ValueError(
            f"{subject} of {length} tokens is longer than the model's {limit} positions, the "
            "`sequence_length` of the embedding that reads it. Shorten it, or build the model with "
            "a larger one."
        )


def check_any_length(stepper, length, subject):
    """Raise if the model can be called on one number of target steps alone, and not on `length`.

    Its steps do not mind, but a call on whole sequences is of that shape.
    """
    fixed = stepper.graph.inputs[stepper.target].shape[1]
    if fixed not in (None, length):
        raise ValueError(
            f"{subject} calls the model on {length} tokens at once, and its target input "
            f"`{stepper.target}` takes {fixed}. Build the model with `keras.Input((None,))`."
        )


def positions(model, input_name):
    """The `sequence_length` of the embedding that reads an input, or `None` if none limits it."""
    functional = functional_of(model)
    tensor = functional.inputs[input_names(functional).index(input_name)]
    for node in graph_nodes(model):
        if not any(t is tensor for t in node.input_tensors):
            continue
        operation = node.operation
        limit = getattr(operation, "sequence_length", None)
        if isinstance(limit, int) and getattr(operation, "kind", None) != "none":
            return limit
        if is_functional(operation) and len(functional_of(operation).inputs) == 1:
            return positions(operation, input_names(functional_of(operation))[0])
    return None


def padded_prompt(prompt, pad_token, limit, name="prompt", may_be_empty=False):
    """`(prompt, lengths)` as (B, P) and (B,) int32 arrays, checked.

    A row of an array, or of lists of one length, goes up to its padding. Lists of different lengths
    are not padded: each has its own length, and a pad token in it is a token.

    Args:
        prompt: (B, P) ids padded on the right, or a list of lists of ids.
        pad_token: the id that pads.
        limit: V of the model, or `None`.
        name: of the argument, for errors.
        may_be_empty: whether some rows (not all) may have no ids.

    Raises:
        TypeError: if the ids are not ints.
        ValueError: if a row is empty, padded on the left, or has ids out of range.
    """
    lengths = np.zeros(1, "int32")
    prompt = _lists_of_ragged(prompt)
    if isinstance(prompt, (list, tuple)):
        prompt, lengths = _padded_lists(name, prompt, pad_token)
    prompt = np.asarray(prompt)
    if prompt.ndim != 2 or prompt.size == 0:
        raise ValueError(
            f"`{name}` must be (B, P) token ids with at least one id a row. "
            f"Received shape: {prompt.shape}"
        )
    if len(set(lengths.tolist())) > 1:
        filled = np.arange(prompt.shape[1]) < lengths[:, None]
    else:
        filled = prompt != pad_token
    check_ids(name, np.where(filled, prompt, 0), limit)  # what pads need not be among them
    lengths = filled.sum(axis=1)
    if (lengths == 0).any() and not may_be_empty:
        raise ValueError(
            f"`{name}` must have at least one id a row. Row {int(np.argmin(lengths))} is empty."
        )
    if not (filled[:, :-1] >= filled[:, 1:]).all():
        row = int(np.argmin((filled[:, :-1] >= filled[:, 1:]).all(axis=1)))
        raise ValueError(
            f"`{name}` must be padded on the right: in row {row} the pad token {pad_token} comes "
            "before other ids. Where it is a token like others, build the Generator with a "
            "`pad_token` that no prompt holds."
        )
    return prompt.astype("int32"), lengths.astype("int32")


def lengths_to_last(marks):
    """(B,) ints: how long each row of (B, N) booleans is up to its last `True`."""
    return (marks * np.arange(1, marks.shape[1] + 1)).max(axis=1, initial=0)


def _lists_of_ragged(rows):
    """A ragged tensor of TensorFlow, such as tokenizers give, as lists; anything else as it is."""
    return rows.to_list() if hasattr(rows, "row_splits") else rows


def _padded_lists(name, rows, pad_token):
    """`(array, lengths)` of a list of lists of ids."""
    rows = [np.asarray(row) for row in rows]
    if any(row.ndim != 1 for row in rows):
        received = [row.tolist() for row in rows]
        raise ValueError(
            f"`{name}` must be a (B, P) array of token ids or a list of lists of ids, one list a "
            f"row. Received: {received}"
        )
    lengths = np.array([len(row) for row in rows], "int32")
    filled = [row for row in rows if len(row)]
    dtype = np.result_type(*filled) if filled else np.int32  # an empty list counts as float
    padded = np.full((len(rows), lengths.max(initial=0)), pad_token, dtype)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded, lengths


def padded_prefix(prefix, batch, pad_token, vocabulary_size, end_tokens, max_length):
    """`(prefix, lengths)` as (B, F) and (B,) int32 arrays, checked.

    Args:
        prefix: list of ids for every row, or a row of ids each, as `padded_prompt` takes them.
        batch: B.
        pad_token: the id that pads.
        vocabulary_size: V of what the model writes.
        end_tokens: ids that must not stand in it.
        max_length: the largest number of new tokens, the prefix among them.

    Raises:
        TypeError, ValueError: as `padded_prompt`; ValueError if rows, length or end tokens are
            wrong.
    """
    rows = list(prefix) if np.iterable(prefix) else [prefix]
    if rows and all(np.ndim(row) == 0 for row in rows):
        prefix = [rows] * batch
    prefix, lengths = padded_prompt(prefix, pad_token, vocabulary_size, "prefix", True)
    if len(prefix) != batch:
        raise ValueError(
            f"`prefix` has {len(prefix)} rows and the batch has {batch}; pass one list of ids for "
            "all rows, or a row each."
        )
    if lengths.max() > max_length:
        raise ValueError(
            f"`prefix` counts as generated, and its {lengths.max()} tokens are more than "
            f"max_length={max_length}."
        )
    ends = np.isin(prefix, end_tokens) & (np.arange(prefix.shape[1]) < lengths[:, None])
    if ends.any():
        raise ValueError(
            f"`prefix` must not hold an end token, for nothing would follow it ({end_tokens}). "
            f"Received: {prefix[ends.any(axis=1)][0].tolist()}"
        )
    return prefix, lengths


def padded_targets(targets, pad_token, vocabulary_size, end_tokens):
    """`(targets, lengths)` of sequences to score, as (B, N) and (B,) int32 arrays, checked.

    A row goes up to its first end token; else a list has its own length, and a row of an array
    goes up to its last token that is not padding. A pad token inside a row is a token.

    Raises:
        TypeError, ValueError: if the ids are none of the model's, or the shape is wrong.
    """
    targets = _lists_of_ragged(targets)
    if isinstance(targets, (list, tuple)):
        targets, lengths = _padded_lists("targets", targets, pad_token)
    else:
        targets = np.asarray(targets)
        if targets.ndim != 2:
            raise ValueError(f"`targets` must be (B, N) token ids. Received shape: {targets.shape}")
        # Where rows end with the pad token, the first one after a row is its end.
        lengths = lengths_to_last((targets != pad_token) | np.isin(targets, end_tokens))
    filled = np.arange(targets.shape[1]) < lengths[:, None]
    check_ids("targets", np.where(filled, targets, 0), vocabulary_size)
    ended = np.isin(targets, end_tokens) & filled
    lengths = np.where(ended.any(axis=1), ended.argmax(axis=1) + 1, lengths)
    return targets.astype("int32"), lengths.astype("int32")


def joined_rows(first, first_lengths, second, second_lengths, width, pad_token):
    """(B, width) rows: the ids of `first`, right after them those of `second`, then padding."""
    joined = np.full((len(first), width), pad_token, "int32")
    lengths = zip(first_lengths, second_lengths, strict=True)
    for row, a, b, (n, m) in zip(joined, first, second, lengths, strict=True):
        row[:n] = a[:n]
        row[n : n + m] = b[:m]
    return joined
