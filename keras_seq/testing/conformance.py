"""`check_sequence_layer`: the invariants of a sequence layer, checked on random inputs."""

import dataclasses
import inspect

import keras

from keras_seq.testing import _form_invariants, _time_invariants
from keras_seq.testing._subject import InvariantViolated, Skip, Subject

_CHECKS = {
    "stepping equals calling": _time_invariants.stepping_equals_calling,
    "padding changes nothing": _time_invariants.padding_changes_nothing,
    "the future changes nothing": _time_invariants.the_future_changes_nothing,
    "rows do not mix": _time_invariants.rows_do_not_mix,
    "documents do not mix": _time_invariants.documents_do_not_mix,
    "fully masked rows are finite": _time_invariants.fully_masked_rows_are_finite,
    "output shape as computed": _form_invariants.output_shape_as_computed,
    "gradients are finite": _form_invariants.gradients_are_finite,
    "config round trip": _form_invariants.config_round_trip,
    "saving round trip": _form_invariants.saving_round_trip,
    "mixed precision": _form_invariants.mixed_precision,
    "XLA changes nothing": _form_invariants.xla_changes_nothing,
}

INVARIANTS = tuple(_CHECKS)


@dataclasses.dataclass(frozen=True)
class ConformanceReport:
    """What `check_sequence_layer` found; `print` shows it as a table.

    Attributes:
        layer: name and class of the layer.
        results: dict from invariant to "holds" or "skipped: <reason>".

    Example:

    ```python
    import keras
    from keras_seq.testing import check_sequence_layer

    report = check_sequence_layer(keras.layers.Dense(4), (2, 5, 3), invariants=["rows do not mix"])
    print(report.results)  # {'rows do not mix': 'holds'}
    ```
    """

    layer: str
    results: dict

    def __str__(self):
        width = max(map(len, self.results), default=0)
        rows = [f"  {invariant:<{width}}  {result}" for invariant, result in self.results.items()]
        return "\n".join([self.layer, *rows])


def check_sequence_layer(
    layer,
    input_shape,
    *,
    context_shape=None,
    vocabulary_size=None,
    invariants=None,
    atol=1e-5,
    seed=0,
):
    """Check the invariants of sequence layers on a layer, with random inputs and weights.

    | invariant | what is compared |
    |---|---|
    | stepping equals calling | every split of x into called and stepped parts, with masks |
    | padding changes nothing | junk in masked steps, explicit masks and Keras' implicit ones |
    | the future changes nothing | outputs up to t after a change of x after t, if `layer.causal` |
    | rows do not mix | each row alone, and rows in another order |
    | documents do not mix | several in a row, told by `reset`, against each alone |
    | fully masked rows are finite | no NaN where nothing may be looked at |
    | output shape as computed | `compute_output_shape` and symbolic calls against eager ones |
    | gradients are finite | of every weight, also with a fully masked row |
    | config round trip | `from_config(get_config())`, as JSON |
    | saving round trip | a functional model to .keras and back, `get_weights` and `set_weights` |
    | mixed precision | float16 and bfloat16: dtypes of weights, outputs and states; overflow |
    | XLA changes nothing | compiled call and step against eager ones |

    An invariant that needs a member the layer has not (`step`, `mask`, `reset`, `causal`) is
    skipped, so Keras' own layers can be checked, too. A layer that attends to a context takes it as
    `context`, with `context_mask`. The layer is built if it was not; its weights are restored at
    the end.

    Args:
        layer: a `keras.layers.Layer`, built or not.
        input_shape: (B, T, D), or (B, T) with `vocabulary_size`; at least two rows and three steps.
        context_shape: (B, S, features) of the context, for layers that attend to one.
        vocabulary_size: V, for layers that take token ids in [0, V).
        invariants: names of those to check, among `keras_seq.testing.INVARIANTS`; all if `None`.
        atol: tolerance of a difference, relative to outputs beyond one in size. 16-bit computation
            has a wider one: 32 roundings of its dtype.
        seed: of the random inputs and weights.

    Returns:
        `ConformanceReport`: for each invariant "holds" or "skipped: <reason>".

    Raises:
        InvariantViolated: if an invariant is violated, or the layer raises an error where it must
            not.
        ValueError: if an argument is out of range.

    Example:

    ```python
    import keras_seq
    from keras_seq.testing import check_sequence_layer

    layer = keras_seq.layers.GRU(4, return_sequences=True)
    print(check_sequence_layer(layer, input_shape=(2, 5, 3)))
    ```
    """
    _check_arguments(layer, input_shape, context_shape, vocabulary_size, invariants)
    subject = Subject(layer, input_shape, context_shape, vocabulary_size, atol, seed)
    name = f"`{layer.name}` ({type(layer).__name__})"
    subject.invariant = "a call gives outputs"
    _judge(subject, lambda subject: subject.prepare())
    results = {}
    try:
        subject.randomize()
        # Whatever the order asked for: numbers first, files and compilers last.
        for invariant in INVARIANTS:
            if invariants is None or invariant in invariants:
                subject.invariant = invariant
                results[invariant] = _judge(subject, _CHECKS[invariant])
    finally:
        subject.restore()
    return ConformanceReport(name, results)


def _judge(subject, check):
    try:
        check(subject)
    except Skip as reason:
        return f"skipped: {reason}"
    except InvariantViolated:
        raise
    except Exception as error:
        layer = f"`{subject.layer.name}` ({type(subject.layer).__name__})"
        raise InvariantViolated(
            f"{layer} violates the invariant {subject.invariant!r}: it raised "
            f"{type(error).__name__}: {error}"
        ) from error
    return "holds"


def _check_arguments(layer, input_shape, context_shape, vocabulary_size, invariants):
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(
            "`layer` of check_sequence_layer must be an instance of keras.layers.Layer. "
            f"Received: {layer!r}"
        )
    meaning = "(B, T, D)" if vocabulary_size is None else "(B, T), as `vocabulary_size` is given"
    rank = 3 if vocabulary_size is None else 2
    _check_shape("input_shape", input_shape, rank, meaning)
    if input_shape[0] < 2 or input_shape[1] < 3:
        raise ValueError(
            "`input_shape` must have at least two rows and three time steps, or most invariants "
            f"say nothing. Received: input_shape={tuple(input_shape)}"
        )
    if vocabulary_size is not None and vocabulary_size < 3:
        raise ValueError(
            "`vocabulary_size` must be at least 3: padding and two tokens. "
            f"Received: vocabulary_size={vocabulary_size}"
        )
    takes_context = "context" in inspect.signature(layer.call).parameters
    build = inspect.signature(layer.build).parameters.get("context_shape")
    may_go_without = takes_context and build is not None and build.default is None
    if takes_context != (context_shape is not None) and not may_go_without:
        needs = "must be (B, S, features): the layer attends to a `context`"
        none = "must be None: `call` of the layer has no argument `context`"
        raise ValueError(
            f"`context_shape` {needs if takes_context else none}. "
            f"Received: context_shape={context_shape}"
        )
    if context_shape is not None:
        _check_shape("context_shape", context_shape, 3, "(B, S, features)")
        if context_shape[0] != input_shape[0]:
            raise ValueError(
                "`context_shape` must have as many rows as `input_shape`. "
                f"Received: context_shape={context_shape}, input_shape={input_shape}"
            )
    if isinstance(invariants, str) or not set(invariants or ()) <= set(INVARIANTS):
        raise ValueError(
            f"`invariants` must be a list of names among {list(INVARIANTS)}. Received: "
            f"invariants={invariants!r}"
        )


def _check_shape(name, shape, rank, meaning):
    sizes = list(shape) if isinstance(shape, (tuple, list)) else []
    if len(sizes) != rank or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(f"`{name}` must be {meaning}, positive ints. Received: {name}={shape!r}")
