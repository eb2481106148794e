"""Invariants of a layer's form: configuration, files, dtypes, compilers, gradients."""

import inspect
import json
import pathlib
import tempfile

import keras
import numpy as np
from keras import ops

from keras_seq.testing._subject import Skip, to_numpy
from keras_seq.testing._time_invariants import check_state_is_fixed

# Tolerance of a 16-bit run, as a fraction of the outputs' size: 32 roundings of the dtype.
_HALF_TOLERANCE = {"mixed_float16": 32 * 2.0**-10, "mixed_bfloat16": 32 * 2.0**-7}


def config_round_trip(subject):
    """`from_config(get_config())` is the same layer, and the configuration fits into JSON."""
    config = subject.layer.get_config()
    try:
        text = json.dumps(config, sort_keys=True)
    except TypeError as error:
        subject.violated(f"the configuration is not JSON: {error}")
    again = subject.rebuild()
    if json.dumps(again.get_config(), sort_keys=True) != text:
        ours, theirs = config, again.get_config()
        names = [n for n in {*ours, *theirs} if ours.get(n) != theirs.get(n)]
        subject.violated(f"the configuration of the rebuilt layer differs in {sorted(names)}")
    what = "the layer rebuilt from its configuration, with its weights"
    subject.compare_outputs(subject.call(layer=again), subject.call(), what)


def saving_round_trip(subject):
    """A model around the layer, saved as .keras and loaded, gives equal numbers."""
    # Another time step of the loaded file must not depend on the first one's length.
    model = subject.model(None)
    inputs = [ops.convert_to_tensor(subject.x)]
    if subject.context is not None:
        inputs.append(ops.convert_to_tensor(subject.context))
    layer_class = type(subject.layer)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path, custom_objects={layer_class.__name__: layer_class})
    what = "the model saved as .keras and loaded"
    expected = subject.call()
    subject.compare_outputs(subject.flat(loaded(inputs)), expected, what)
    weights = subject.layer.get_weights()
    subject.layer.set_weights([np.zeros_like(w) for w in weights])
    subject.layer.set_weights(weights)
    subject.compare_outputs(subject.call(), expected, "after get_weights and set_weights")


def mixed_precision(subject):
    """With 16-bit computation: float32 weights, 16-bit finite outputs, states of fixed dtype."""
    expected = subject.call()
    for policy, tolerance in _HALF_TOLERANCE.items():
        layer = subject.rebuild(dtype=policy)
        for variable in layer.variables:
            dtype = keras.backend.standardize_dtype(variable.dtype)
            if "float" in dtype and dtype != "float32":
                subject.violated(f"{policy}: variable {variable.name} is {dtype}, not float32")
        outputs = layer(ops.convert_to_tensor(subject.x), **subject.arguments())
        _check_dtype(subject, outputs, layer, policy)
        subject.finite(outputs, policy)
        subject.compare_outputs(
            subject.flat(outputs), expected, f"{policy} against float32", atol=tolerance
        )
        try:
            subject.need_steps()
        except Skip:
            continue
        _steps_in_16_bits(subject, layer, policy, expected, tolerance)


def _steps_in_16_bits(subject, layer, policy, expected, tolerance):
    state = subject.get_initial_state(layer=layer)
    whole = expected[subject.timed.index(True)]
    for t in range(subject.time):
        before = state
        y, state = subject.step(state, t, layer=layer)
        what = f"{policy}: step {t}"
        _check_dtype(subject, y, layer, what)
        check_state_is_fixed(subject, before, state, what)
        subject.finite((y, state), what)
        subject.compare(y, whole[:, t : t + 1], what, atol=tolerance)


def _check_dtype(subject, outputs, layer, what):
    for y in keras.tree.flatten(outputs):
        dtype = keras.backend.standardize_dtype(y.dtype)
        if dtype != layer.compute_dtype:
            expected = layer.compute_dtype
            subject.violated(f"{what}: an output is {dtype}, not compute_dtype {expected}")


def xla_changes_nothing(subject):
    """A compiled call and a compiled step give the numbers of the eager ones."""
    layer = subject.layer
    x = ops.convert_to_tensor(subject.x)
    for name, mask in list(subject.masks().items())[::2]:
        arguments = subject.arguments(mask=mask)
        names = list(arguments)

        def call(x, *values, names=names):
            return layer(x, **dict(zip(names, values, strict=True)))

        got = subject.flat(_compile(call)(x, *arguments.values()))
        eager = subject.flat(layer(x, **arguments))
        subject.compare_outputs(got, eager, f"the compiled call, {name}", where=mask)
    try:
        subject.need_steps()
    except Skip:
        return
    step = _compile(lambda x, state: layer.step(x, state))
    state = eager = subject.get_initial_state()
    for t in range(subject.time):
        y, state = step(x[:, t : t + 1], state)
        expected, eager = layer.step(x[:, t : t + 1], eager)
        subject.compare(y, expected, f"the compiled step {t}")


def _compile(function):
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if backend == "jax":
        import jax

        return jax.jit(function)
    raise Skip(f"the backend is {backend}, which does not compile with XLA")


def output_shape_as_computed(subject):
    """`compute_output_shape` and a symbolic call say what the eager call gives."""
    arguments = subject.arguments()
    eager = subject.layer(ops.convert_to_tensor(subject.x), **arguments)
    _check_dtype(subject, eager, subject.layer, "the eager call")
    shapes = [tuple(y.shape) for y in keras.tree.flatten(eager)]
    for batch, time in ((subject.batch, subject.time), (None, subject.time), (None, None)):
        x_shape = (batch, time, *subject.x.shape[2:])
        kwargs = {}
        if "context" in arguments:
            kwargs["context_shape"] = (batch, *subject.context.shape[1:])
            known = inspect.signature(subject.layer.compute_output_shape).parameters
            kwargs = {name: shape for name, shape in kwargs.items() if name in known}
        computed = subject.layer.compute_output_shape(x_shape, **kwargs)
        what = f"compute_output_shape({x_shape})"
        _check_shapes(subject, _shapes(computed), shapes, x_shape[:2], what)
    for time in (subject.time, None):
        outputs = keras.tree.flatten(subject.model(time).outputs)
        what = f"the symbolic call with time {time}"
        _check_shapes(subject, [tuple(y.shape) for y in outputs], shapes, (None, time), what)
        _check_dtype(subject, outputs, subject.layer, what)


def _shapes(nest):
    """The shapes in a nest of shapes, which are tuples themselves."""
    if all(size is None or isinstance(size, int) for size in nest):
        return [tuple(nest)]
    return [shape for part in nest for shape in _shapes(part)]


def _check_shapes(subject, computed, eager, unknown, what):
    """Each dimension as in the eager call; only batch and time may be left open, if unknown."""
    if len(computed) != len(eager):
        subject.violated(f"{what} has {len(computed)} outputs; the eager call has {len(eager)}")
    for shape, expected, timed in zip(computed, eager, subject.timed, strict=True):
        expected = list(expected)
        if unknown[0] is None:
            expected[0] = None
        if timed and unknown[1] is None:
            expected[1] = None
        if shape != tuple(expected):
            subject.violated(f"{what} is {shape}; the eager call has {tuple(expected)}")


def gradients_are_finite(subject):
    """Every weight that has an effect has a gradient, no gradient is NaN, states pass it on."""
    layer = subject.layer
    if not layer.trainable_variables:
        raise Skip("it has no weights to train")
    masks = {"no mask": None}
    if subject.takes_mask:
        masks["row 0 masked wholly"] = subject.right_padding()
        masks["row 0 masked wholly"][0] = False
    trains = "training" in inspect.signature(layer.call).parameters
    for name, mask in masks.items():
        for training in ({"training": True}, {"training": False}) if trains else ({},):
            arguments = {**subject.arguments(mask=mask), **training}
            gradients = _gradients(subject, lambda x, given=arguments: layer(x, **given))
            what = ", ".join([name, *(f"{k}={v}" for k, v in training.items())])
            for variable, gradient in zip(layer.trainable_variables, gradients, strict=True):
                _check_gradient(subject, variable, gradient, what, dense=mask is None)
    _gradients_through_the_state(subject)


def _check_gradient(subject, variable, gradient, what, dense):
    what = f"the gradient of {variable.path}, {what}"
    if gradient is not None:
        subject.finite(gradient, what)
    missing = gradient is None or not np.any(to_numpy(gradient))
    if missing and dense and _has_effect(subject, variable):
        state = "missing" if gradient is None else "zero"
        subject.violated(f"{what} is {state}, though the weight changes the outputs")


def _gradients_through_the_state(subject):
    """Two calls in a row, the state handed on, have the gradients of one call."""
    try:
        subject.need_steps()
    except Skip:
        return
    layer, half = subject.layer, subject.time // 2
    timed = subject.timed.index(True)

    def whole(x):
        return keras.tree.flatten(layer(x, **subject.arguments()))[timed]

    def halves(x):
        state = subject.get_initial_state()
        first, state = layer(x[:, :half], initial_state=state, return_state=True)
        second, _ = layer(x[:, half:], initial_state=state, return_state=True)
        return ops.concatenate([first, second], axis=1)

    both = (_gradients(subject, forward) for forward in (halves, whole))
    for variable, got, expected in zip(layer.trainable_variables, *both, strict=True):
        if got is None and expected is None:
            continue
        what = f"the gradient of {variable.path} through two calls in a row"
        if got is None:
            subject.violated(f"{what} is missing")
        # Sums over all rows and steps: their rounding is that of B * T numbers.
        subject.compare(got, expected, what, atol=10 * subject.atol)


def _gradients(subject, forward):
    """Gradients of the weights, of the outputs of `forward(x)` weighted at random and summed."""
    layer, x = subject.layer, ops.convert_to_tensor(subject.x)

    def loss():
        rng = np.random.default_rng(0)  # a plain sum hides what the sum does not depend on
        outputs = [ops.cast(y, "float32") for y in keras.tree.flatten(forward(x))]
        return sum(ops.sum(y * rng.normal(size=y.shape).astype("float32")) for y in outputs)

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss()
        gradients = tape.gradient(value, [v.value for v in layer.trainable_variables])
        return [g if g is None else tf.convert_to_tensor(g) for g in gradients]
    if backend == "jax":
        import jax

        def stateless(values):
            with keras.StatelessScope(list(zip(layer.trainable_variables, values, strict=True))):
                return loss()

        return jax.jit(jax.grad(stateless))([v.value for v in layer.trainable_variables])
    raise Skip(f"the backend is {backend}; gradients are taken with TensorFlow and JAX")


def _has_effect(subject, variable):
    """Whether another value changes the outputs (a key's bias, say, cancels in the softmax)."""
    before, value = subject.call(), ops.convert_to_numpy(variable)
    variable.assign(value + subject.rng.normal(size=value.shape))
    after = subject.call()
    variable.assign(value)
    return any(np.max(np.abs(a - b)) > subject.atol for a, b in zip(after, before, strict=True))
