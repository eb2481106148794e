"""Invariants about numbers: steps, masks, causality and the batch."""

import keras
import numpy as np
from keras import ops

from keras_seq.testing._subject import Skip, to_numpy

_JUNK = 100.0  # far from the inputs' size, so that looking at it shows


def stepping_equals_calling(subject):
    """Any split of x into called and stepped parts gives the numbers of one call."""
    subject.need_steps()
    timed = subject.timed.index(True)
    context_masks = [None]
    if subject.takes_context_mask:
        context_masks.append(_holes_in_context(subject))
    for context_mask in context_masks:
        for name, mask in subject.masks().items():
            if context_mask is not None:
                name = f"{name}, a mask on the context"
            whole = subject.call(mask=mask, context_mask=context_mask)[timed]
            start = subject.get_initial_state(context_mask=context_mask)
            _, end = subject.run(start, 0, subject.time, mask=mask)
            for parts in _splits(subject.time):
                what = f"{_describe(parts)} with {name}"
                got, state = _run_parts(subject, start, parts, mask, what)
                subject.compare(got, whole, what, where=mask)
                _compare_states(subject, state, end, f"the state after {what}")


def _splits(time):
    """Lists of `(kind, start, stop)`: all splits in two, and some in three."""
    for k in range(time + 1):
        called = [("call", 0, k)] if k else []
        yield called + [("step", t, t + 1) for t in range(k, time)]
    for i in range(1, time - 1):
        j = (i + time) // 2
        yield [("call", 0, i), ("call", i, j), *(("step", t, t + 1) for t in range(j, time))]
    yield [("step", 0, 1), ("call", 1, time)]


def _describe(parts):
    called = [f"call [{a}:{b}]" for kind, a, b in parts if kind == "call"]
    steps = [a for kind, a, _ in parts if kind == "step"]
    if steps:
        called.append(f"step [{steps[0]}:{steps[-1] + 1}]")
    return ", ".join(called)


def _run_parts(subject, state, parts, mask, what):
    outputs = []
    for kind, start, stop in parts:
        before = state
        if kind == "call":
            y, state = subject.run(state, start, stop, mask=mask)
        else:
            y, state = subject.step(state, start, mask=mask)
        outputs.append(to_numpy(y))
        check_state_is_fixed(subject, before, state, what)
    return np.concatenate(outputs, axis=1), state


def check_state_is_fixed(subject, before, after, what):
    """A state that lives in a `while_loop` keeps its structure, its shapes and its dtypes."""
    try:
        keras.tree.assert_same_structure(before, after)
    except (ValueError, TypeError) as error:
        subject.violated(f"{what}: the state changes its structure. {error}")
    for a, b in zip(keras.tree.flatten(before), keras.tree.flatten(after), strict=True):
        a, b = ((tuple(leaf.shape), keras.backend.standardize_dtype(leaf.dtype)) for leaf in (a, b))
        if a != b:
            subject.violated(f"{what}: a part of the state was {a} and becomes {b}")


def _compare_states(subject, got, expected, what):
    for a, b in zip(keras.tree.flatten(got), keras.tree.flatten(expected), strict=True):
        if tuple(a.shape) == tuple(b.shape):
            subject.compare(a, b, what)


def padding_changes_nothing(subject):
    """What is masked, or comes after the end, does not show in the outputs that count."""
    if not subject.takes_mask and not any(subject.timed):
        raise Skip("it has no `mask` argument and no output for each time step")
    _appended_junk(subject)
    if subject.takes_mask:
        _junk_in_holes(subject)
        if subject.vocabulary_size is None:
            _implicit_masks(subject)
            _masks_of_an_embedding(subject)
    if subject.takes_context_mask:
        _junk_in_context(subject)


def _appended_junk(subject):
    for extra in (1, 2):
        end = subject.time - extra
        junk = subject.random_x((subject.batch, extra, *subject.x.shape[2:]), _JUNK)
        padded = np.concatenate([subject.x[:, :end], junk], axis=1)
        mask = None
        if subject.takes_mask:
            mask = np.broadcast_to(np.arange(subject.time) < end, (subject.batch, subject.time))
        got = subject.call(padded, mask=mask)
        what = f"{extra} steps of junk on the right" + (", masked" if subject.takes_mask else "")
        expected = subject.call(subject.x[:, :end])
        for i, (y, timed) in enumerate(subject.zip_timed(got)):
            subject.compare(y[:, :end] if timed else y, expected[i], what)


def _junk_in_holes(subject):
    for mask in (subject.right_padding(), subject.with_holes()):
        junk = subject.random_x(subject.x.shape, _JUNK)
        kept = mask.reshape(mask.shape + (1,) * (subject.x.ndim - 2))
        got = subject.call(np.where(kept, subject.x, junk), mask=mask)
        what = "junk in masked steps"
        subject.compare_outputs(got, subject.call(mask=mask), what, where=mask)


def _implicit_masks(subject):
    """`Masking` in front of the layer does what the explicit mask does."""
    mask_value = -7.0
    model = subject.model(None, between=keras.layers.Masking(mask_value=mask_value))
    context_mask = None
    inputs = []
    if subject.context is not None:
        context = subject.context
        if subject.takes_context_mask:
            context_mask = _holes_in_context(subject)
            context = np.where(context_mask[..., None], context, np.float32(mask_value))
        inputs = [ops.convert_to_tensor(context)]
    for mask in (subject.right_padding(), subject.with_holes()):
        x = np.where(mask[..., None], subject.x, np.float32(mask_value))
        got = subject.flat(model([ops.convert_to_tensor(x), *inputs]))
        expected = subject.call(mask=mask, context_mask=context_mask)
        what = "the mask of keras.layers.Masking against the explicit mask"
        subject.compare_outputs(got, expected, what, where=mask)


def _masks_of_an_embedding(subject):
    """So does `Embedding(mask_zero=True)`, whose row 0 is as large as any other."""
    if subject.context is not None:
        return  # the context has features of its own; `Masking` has been tried on both
    embed = keras.layers.Embedding(12, subject.x.shape[2], mask_zero=True)
    embed.build((None, None))
    embed.embeddings.assign(subject.normal((12, subject.x.shape[2])))
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, subject.layer(embed(ids)))
    for mask in (subject.right_padding(), subject.with_holes()):
        tokens = np.where(mask, subject.rng.integers(1, 12, size=mask.shape), 0).astype("int32")
        got = subject.flat(model(ops.convert_to_tensor(tokens)))
        expected = subject.call(ops.convert_to_numpy(embed.embeddings)[tokens], mask=mask)
        what = "the mask of keras.layers.Embedding against the explicit mask"
        subject.compare_outputs(got, expected, what, where=mask)


def _junk_in_context(subject):
    for extra in (1, 3):
        shape = (subject.batch, extra, subject.context.shape[2])
        longer = np.concatenate([subject.context, subject.normal(shape, _JUNK)], axis=1)
        mask = np.arange(longer.shape[1])[None] < np.full((subject.batch, 1), longer.shape[1])
        mask = mask & (np.arange(longer.shape[1]) < subject.context.shape[1])
        subject.compare_outputs(
            subject.call(context=longer, context_mask=mask),
            subject.call(),
            f"{extra} masked steps of junk on the right of the context",
        )
    mask = _holes_in_context(subject)
    junk = np.where(mask[..., None], subject.context, _JUNK * subject.context)
    got = subject.call(context=junk, context_mask=mask)
    what = "junk in masked steps of the context"
    subject.compare_outputs(got, subject.call(context_mask=mask), what)


def _holes_in_context(subject):
    return subject.with_holes(subject.context.shape[1])


def the_future_changes_nothing(subject):
    """Where a layer claims causality, other inputs after t leave the outputs up to t alone."""
    causal = getattr(subject.layer, "causal", None)
    if causal is None:
        raise Skip("it does not say whether it is causal (no `causal`)")
    if not causal:
        raise Skip("it does not claim to be causal")
    subject.need_time()
    for name, mask in subject.masks().items():
        whole = subject.call(mask=mask)
        for t in range(subject.time - 1):
            x = subject.x.copy()
            x[:, t + 1 :] = subject.random_x(x[:, t + 1 :].shape, _JUNK)
            got = subject.call(x, mask=mask)
            for i, timed in enumerate(subject.timed):
                if timed:
                    what = f"outputs up to t={t} after a change of the inputs after it, {name}"
                    subject.compare(got[i][:, : t + 1], whole[i][:, : t + 1], what)


def rows_do_not_mix(subject):
    """A row of the batch gives the same numbers alone, and wherever in the batch it stands."""
    masks = subject.masks()
    context_mask = _holes_in_context(subject) if subject.takes_context_mask else None
    order = np.roll(np.arange(subject.batch), 1)
    for name, mask in masks.items():
        arguments = {"mask": mask, "context_mask": context_mask}
        whole = subject.call(**arguments)
        for row in range(subject.batch):
            rows = slice(row, row + 1)
            got = subject.call(rows=rows, **arguments)
            what = f"row {row} alone against the batch, {name}"
            subject.compare_outputs(got, [y[rows] for y in whole], what)
        got = subject.call(rows=order, **arguments)
        what = f"rows in the order {order.tolist()}, {name}"
        subject.compare_outputs(got, [y[order] for y in whole], what)


def documents_do_not_mix(subject):
    """Several documents in a row, told by `reset`, give what each gives alone."""
    if not subject.takes_reset:
        raise Skip("it has no `reset` argument")
    if getattr(subject.layer, "go_backwards", False):
        raise Skip("it runs backwards, so that it meets the end of a document first")
    subject.need_time()
    masks = subject.masks()
    for starts, name in (([0, 1, 3], "no mask"), ([0, 2], "a mask with holes")):
        if name not in masks:
            continue
        mask = masks[name]
        reset = np.zeros((subject.batch, subject.time), bool)
        whole = subject.call(mask=mask)
        what = f"`reset` that is False everywhere, {name}"
        subject.compare_outputs(subject.call(mask=mask, reset=reset), whole, what)
        starts = [start for start in starts if start < subject.time]
        reset[::2, starts] = True  # every second row is one document
        got = subject.call(mask=mask, reset=reset)
        for start, end in zip(starts, [*starts[1:], subject.time], strict=True):
            part = None if mask is None else mask[:, start:end]
            alone = subject.call(subject.x[:, start:end], mask=part)
            for i, timed in enumerate(subject.timed):
                if timed:
                    what = f"the document [{start}:{end}] of a row against it alone, {name}"
                    subject.compare(got[i][::2, start:end], alone[i][::2], what)
        for i, timed in enumerate(subject.timed):
            if timed:
                what = f"a row of one document beside rows of several, {name}"
                subject.compare(got[i][1::2], whole[i][1::2], what)


def fully_masked_rows_are_finite(subject):
    """A row with nothing to look at gives no NaN, and the other rows do not notice it."""
    if not subject.takes_mask and not subject.takes_context_mask:
        raise Skip("it has no `mask` argument")
    for name, length in (("mask", subject.time), ("context_mask", None)):
        if name == "context_mask":
            if not subject.takes_context_mask:
                continue
            length = subject.context.shape[1]
        elif not subject.takes_mask:
            continue
        mask = subject.right_padding(length)
        empty = mask.copy()
        empty[0] = False
        got, expected = subject.call(**{name: empty}), subject.call(**{name: mask})
        what = f"row 0 has `{name}` all False"
        subject.finite(got, what)
        subject.compare_outputs(
            [y[1:] for y in got], [y[1:] for y in expected], f"the other rows where {what}"
        )
        try:
            subject.need_steps()
        except Skip:
            continue
        state = subject.get_initial_state(context_mask=empty if name == "context_mask" else None)
        for t in range(subject.time):
            y, state = subject.step(state, t, mask=empty if name == "mask" else None)
            subject.finite((y, state), f"step {t} where {what}")
