"""How much gradient of the loss reaches each time step of a model's recurrent layers."""

import keras
import numpy as np
from keras import ops

from keras_seq.layers import RNN
from keras_seq.layers.recurrent._engine import Form, recurrence_form
from keras_seq.stepping._graph import match_inputs, walk
from keras_seq.stepping._keras_private import functional_of, graph_outputs, is_functional


def gradient_flow(model, x, y, loss=None):
    r"""The norm of dL/dh_t of every recurrent layer, time step by time step.

    The derivative is the total one, through the output at t and through all later time steps,

        dL/dh_t = dL/dy_t + dL/dstate_{t+1}  dstate_{t+1}/dh_t

    In a `SimpleRNN` each step back multiplies by `diag(f'(z)) U^T`; where the product shrinks, the
    gradient vanishes, and what happened long ago cannot be learnt; where it grows, it explodes
    (Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013). It is found
    by adding e_t = 0 to h_t after each step and taking dL/de_t. The cell state of an LSTM is not
    moved by e_t, but what h_t writes into it by way of the gates is followed to the end.

    The model runs as at inference (no dropout), in its own precision: float32 ends at 1e-38, below
    which a norm is 0, and at 3e38, above which it is infinite. No weight, state or metric changes.

    Args:
        model: functional or Sequential `keras.Model` with layers of `keras_seq.layers.RNN`'s kind
            (`SimpleRNN`, `LSTM`, `GRU`, ...), in models and `Bidirectional` layers inside it, too.
            Other layers are passed through; recurrent layers of Keras itself do not show up.
        x: inputs of one batch, as the model takes them.
        y: its targets.
        loss: a Keras loss, its name, or a function of `(y, y_pred)`; its mean is L. If `None`: the
            loss that the model was compiled with.

    Returns:
        Dict from layer name to a float64 array (T,): the Euclidean norm of dL/dh_t over all rows
        and units, time in the order of the layer's input. A layer that is called again has another
        entry, `NAME_call_2`; one of a model or a `Bidirectional` inside the model is `MODEL/LAYER`.

    Raises:
        TypeError: if `model` has no graph to walk.
        ValueError: if it has no such layer, if there is no loss, or if `x` does not fit.
        NotImplementedError: on backends other than TensorFlow and JAX.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq

    model = keras.Sequential(
        [keras.Input((20, 3)), keras_seq.layers.LSTM(8, name="lstm"), keras.layers.Dense(1)]
    )
    x, y = np.random.default_rng(0).normal(size=(4, 20, 3)), np.ones((4, 1))
    norms = keras_seq.inspection.gradient_flow(model, x, y, loss="mse")
    print(norms["lstm"].shape)  # (20,)
    ```
    """
    _check_backend()
    if not is_functional(model):
        raise TypeError(
            "`model` must be a functional (or built Sequential) keras.Model, because its graph is "
            f"walked. Received: {type(model).__name__} `{getattr(model, 'name', '')}`"
        )
    loss = _loss_of(model, loss)
    inputs = match_inputs(model, x, "x")
    y = keras.tree.map_structure(ops.convert_to_tensor, y)
    directions = {}

    def run(perturbations):
        walk = _Walk(perturbations)
        # Metrics of the compiled loss are written to the scope, which is thrown away.
        with keras.StatelessScope():
            value = loss(y, walk.model(model, inputs))
        directions.update(walk.reverse)
        return value, walk.zeros

    _, zeros = run({})
    if not zeros:
        raise ValueError(
            f"`model` must hold a recurrent layer of keras_seq.layers, such as LSTM. Received: "
            f"model `{model.name}` with layers {[layer.name for layer in model.layers]}. In place "
            "of Keras' own recurrent layers take those of the same name here; `set_weights` moves "
            "the weights."
        )
    norms = {}
    gradients = _gradients(run, zeros)  # which JAX gives in the order of the names
    for name in zeros:
        gradient = ops.convert_to_numpy(gradients[name]).astype("float64")  # squares of 1e30 fit
        with np.errstate(over="ignore", invalid="ignore"):
            norm = np.sqrt(np.sum(np.square(gradient), axis=(1, 2)))  # (T,)
        norms[name] = norm[::-1].copy() if directions[name] else norm
    return norms


def _gradients(run, zeros):
    """dL/de for each of the perturbations e = 0, (T, B, U) each."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(zeros)
            value, _ = run(zeros)
        return tape.gradient(value, zeros, unconnected_gradients="zero")
    import jax

    return jax.grad(lambda perturbations: run(perturbations)[0])(zeros)


class _Walk:
    """Runs a model's graph with e_t added to h_t in its recurrent layers.

    Args:
        perturbations: dict from name to e (T, B, U); zeros where there is none.

    Attributes:
        zeros: e = 0 for each recurrent layer that was met, by name.
        reverse: whether the layer runs backwards, by name.
    """

    def __init__(self, perturbations):
        self.perturbations = perturbations
        self.zeros = {}
        self.reverse = {}

    def model(self, model, inputs):
        pack = graph_outputs(model)[1]
        return pack(walk(model, inputs, self._call))

    def _call(self, name, operation, args, kwargs):
        if isinstance(operation, keras.layers.Bidirectional):
            directions = (operation.forward_layer, operation.backward_layer)
            names = {id(part): f"{name}/{part.name}" for part in directions}
        else:
            names = {id(operation): name}
        if isinstance(operation, (RNN, keras.layers.Bidirectional)):
            kwargs = {key: value for key, value in kwargs.items() if key != "training"}

        def form(layer):
            if id(layer) not in names:
                return None
            return Form(added=lambda zeros: self._added(names[id(layer)], layer, zeros))

        with recurrence_form(form):
            return operation(*args, **kwargs)

    def _added(self, name, layer, zeros):
        """e of the layer, (T, B, U) in the order of running.

        It comes after the mask, so that h_t of a masked step, which is h_{t-1}, has its gradient.
        """
        self.zeros[name], self.reverse[name] = zeros, layer.go_backwards
        return self.perturbations.get(name, zeros)


def _loss_of(model, loss):
    """`(y, y_pred) -> scalar`."""
    if loss is None:
        if not getattr(model, "compiled", False):
            raise ValueError(
                f"`loss` must be given, because model `{model.name}` is not compiled. Received: "
                'loss=None. Pass a Keras loss or its name, such as loss="mse", or compile the model'
            )
        return lambda y, predicted: model.compute_loss(x=None, y=y, y_pred=predicted)
    outputs = len(functional_of(model).outputs)
    if outputs != 1:
        raise ValueError(
            f"`loss` can be given for a model with one output. Received: model `{model.name}` with "
            f"{outputs} outputs. Compile the model with its losses and leave `loss` out."
        )
    function = keras.losses.get(loss) if not callable(loss) else loss

    def mean(y, predicted):
        return ops.mean(function(y, keras.tree.flatten(predicted)[0]))

    return mean


def _check_backend():
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax"):
        raise NotImplementedError(
            "keras_seq.inspection.gradient_flow needs TensorFlow or JAX, whose gradients it takes. "
            f"Received: Keras on {backend}. Set KERAS_BACKEND=tensorflow"
        )
