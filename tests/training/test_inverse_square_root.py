"""The learning rate of the Transformer."""

import keras
import numpy as np
import pytest

from keras_seq.training import InverseSquareRoot


def test_it_is_the_schedule_of_the_paper():
    d, warmup = 512, 4000
    schedule = InverseSquareRoot((d * warmup) ** -0.5, warmup)
    for n in (1, 2, 3999, 4000, 4001, 100_000):
        expected = d**-0.5 * min(n**-0.5, n * warmup**-1.5)
        np.testing.assert_allclose(float(schedule(n - 1)), expected, rtol=1e-6)


def test_it_rises_to_its_peak_and_falls():
    rates = np.array([float(InverseSquareRoot(0.5, 10)(step)) for step in range(40)])
    assert rates.argmax() == 9 and rates[9] == np.float32(0.5)
    np.testing.assert_allclose(rates[:10], 0.5 * np.arange(1, 11) / 10, rtol=1e-6)
    np.testing.assert_allclose(rates[39], 0.25, rtol=1e-6)  # four times the steps, half the rate


def test_an_optimizer_steps_through_it_and_is_saved_with_it():
    optimizer = keras.optimizers.SGD(InverseSquareRoot(1.0, 4))
    x = keras.Variable(0.0)
    places = []
    for _ in range(5):
        optimizer.apply([keras.ops.ones(())], [x])
        places.append(float(x))
    np.testing.assert_allclose(
        np.diff([0, *places]), -np.array([0.25, 0.5, 0.75, 1, (4 / 5) ** 0.5]), rtol=1e-5
    )
    config = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert config._learning_rate.get_config() == {"peak_learning_rate": 1.0, "warmup_steps": 4}


def test_batches_that_are_accumulated_are_steps():
    optimizer = keras.optimizers.SGD(InverseSquareRoot(1.0, 4), gradient_accumulation_steps=2)
    x = keras.Variable(0.0)
    places = []
    for _ in range(4):
        optimizer.apply([keras.ops.ones(())], [x])
        places.append(float(x))
    np.testing.assert_allclose(places, [0, -0.5, -0.5, -1.5], rtol=1e-6)


@pytest.mark.parametrize(
    "arguments, name",
    [((0.0,), "peak_learning_rate"), (("fast",), "peak_learning_rate"), ((1.0, 0), "warmup_steps")],
)
def test_arguments_out_of_range_are_refused(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}` of InverseSquareRoot"):
        InverseSquareRoot(*arguments)
