import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from keras_seq.models import forecaster
from keras_seq.stepping import Stepper

B, P, F, D = 2, 8, 3, 2
CAUSAL = ("linear", "markov", "gru", "lstm")
SMALL = {"num_layers": 2, "hidden_dim": 4, "num_heads": 2, "intermediate_dim": 6}


def model_of(cell, **arguments):
    model = forecaster(P, F, D, cell, **{**SMALL, "patch_size": 4, "patch_stride": 2, **arguments})
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) / 2 for w in model.get_weights()])
    return model


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("cell", [*CAUSAL, "transformer"])
def test_forecasters_are_plain_functional_models_that_save(cell, tmp_path):
    model, x = model_of(cell), normal(B, P, D)
    assert type(model).__name__ == "Functional"
    y = numpy(model(x))
    assert y.shape == (B, F, D)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(x)), y, atol=1e-6)


def test_the_linear_one_is_an_autoregression_of_each_feature_in_units_of_its_past():
    model, x = model_of("linear"), normal(B, P, D)
    W, b = model.get_weights()
    mean, std = x.mean(axis=1, keepdims=True), np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    expected = np.einsum("bpd,pf->bfd", (x - mean) / std, W) + b[:, None]
    np.testing.assert_allclose(numpy(model(x)), std * expected + mean, atol=1e-5)


@pytest.mark.parametrize("cell", ["linear", "transformer"])
def test_another_unit_of_the_series_is_another_unit_of_its_forecast(cell):
    model, x = model_of(cell), normal(B, P, D)
    scale, shift = np.array([2.0, 5.0], "float32"), np.array([-3.0, 1.0], "float32")
    y = numpy(model(x))
    np.testing.assert_allclose(numpy(model(scale * x + shift)), scale * y + shift, atol=1e-3)


@pytest.mark.parametrize("cell", ["linear", "transformer"])
def test_no_feature_changes_the_forecast_of_another(cell):
    model, x = model_of(cell), normal(B, P, D)
    other = x.copy()
    other[..., 1] = 7.0 * normal(B, P)
    y, changed = numpy(model(x)), numpy(model(other))
    np.testing.assert_allclose(changed[..., 0], y[..., 0], atol=1e-5)
    assert abs(changed[..., 1] - y[..., 1]).max() > 0.1


def test_the_markov_model_reads_the_present_alone():
    model, x = model_of("markov"), normal(B, P, D)
    other = normal(B, 2 * P, D)[:, :P]
    other[:, -1] = x[:, -1]
    np.testing.assert_allclose(numpy(model(other)), numpy(model(x)), atol=1e-6)


@pytest.mark.parametrize("cell", ["gru", "lstm", "markov"])
def test_without_weights_these_repeat_the_present(cell):
    model, x = model_of(cell), normal(B, P, D)
    model.set_weights([np.zeros(w.shape) for w in model.get_weights()])
    np.testing.assert_allclose(numpy(model(x)), np.repeat(x[:, -1:], F, axis=1), atol=1e-6)


@pytest.mark.parametrize("cell", CAUSAL)
def test_a_forecast_after_each_step_is_the_forecast_of_what_was_seen(cell):
    model, online, x = model_of(cell), model_of(cell, every_step=True), normal(B, 2 * P, D)
    online.set_weights(model.get_weights())
    every = numpy(online(x))
    assert every.shape == (B, 2 * P, F, D)
    np.testing.assert_allclose(numpy(online(x[:, :P]))[:, -1], numpy(model(x[:, :P])), atol=1e-5)
    np.testing.assert_allclose(every[:, :P], numpy(online(x[:, :P])), atol=1e-5)  # no future
    if cell in ("linear", "markov"):  # what is older than the window does not count
        np.testing.assert_allclose(every[:, -1], numpy(model(x[:, -P:])), atol=1e-5)


@pytest.mark.parametrize("cell", CAUSAL)
def test_observations_one_at_a_time_give_the_forecasts_of_the_whole_call(cell):
    online, x = model_of(cell, every_step=True), normal(B, P + 3, D)
    whole = numpy(online(x))
    stepper = Stepper(online)
    state = stepper.get_initial_state(batch_size=B, max_length=P + 3)
    for t in range(P + 3):
        y, state = stepper.step(x[:, t : t + 1], state)
        np.testing.assert_allclose(numpy(y)[:, 0], whole[:, t], atol=1e-5)


def test_forecasts_of_one_step_at_every_step_have_the_shape_of_the_series():
    online = forecaster(P, 1, D, "gru", every_step=True, hidden_dim=4)
    assert online.output_shape == (None, None, D)


@pytest.mark.parametrize("past, patches", [(8, 3), (9, 3), (4, 1)])
def test_the_last_patch_ends_with_the_present(past, patches):
    model = forecaster(past, F, D, "transformer", **SMALL, patch_size=4, patch_stride=2)
    assert model.get_layer("positions").positions.shape == (patches, SMALL["hidden_dim"])
    patch = keras.Model(model.input, model.get_layer("patches").output)
    x = normal(B, past, D)
    normalized = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    kernel, bias = model.get_layer("patches").get_weights()  # (L, 1, K)
    expected = np.einsum("bpd,pk->bdk", normalized[:, -4:], kernel[:, 0]) + bias
    np.testing.assert_allclose(numpy(patch(x))[:, -1].reshape(B, D, -1), expected, atol=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"cell": "elman"}, "`cell` of forecaster.*'elman'"),
        ({"past": 0}, "`past` of forecaster.*past=0"),
        ({"num_features": 1.5}, "num_features=1.5"),
        ({"cell": "transformer", "patch_size": 9}, "`patch_size`.*`past`, 8.*patch_size=9"),
        ({"cell": "transformer", "patch_stride": 0}, "patch_stride=0"),
        ({"cell": "transformer", "every_step": True}, "`every_step`.*False.*last `past`"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        forecaster(**{"past": P, "future": F, "num_features": D, **arguments})
