import json

import keras
import numpy as np
import pytest

from keras_seq import generation
from keras_seq.generation.samplers._keras_hub import KerasHubSampler
from keras_seq.saving._objects import deserialized, serialized

register = keras.saving.register_keras_serializable(package="tests")
OBJECTS = [
    generation.GreedySampler(),
    generation.RandomSampler(0.5, 7, [generation.TopK(3), generation.TopP(0.9, 8)]),
    generation.TopKSampler(4, 0.7),
    generation.TopPSampler(0.8, 10, 0.9, seed=2**64 - 1),
    generation.BeamSampler(3, True, 1.0, "never", "power"),
    generation.BeamSampler(4, num_return_sequences=2),
    generation.BannedTokens(5),
    generation.MinLength(2, [3, 4]),
    generation.NoRepeatNgram(2),
    generation.RepetitionPenalty(1.5),
]


def arguments(thing):
    """All attributes, those of objects inside too."""
    if isinstance(thing, list):
        return [arguments(each) for each in thing]
    inner = getattr(thing, "__dict__", None)
    return thing if inner is None else (type(thing), {n: arguments(v) for n, v in inner.items()})


@pytest.mark.parametrize("thing", OBJECTS, ids=lambda thing: type(thing).__name__)
def test_an_object_is_made_again_from_the_text_of_its_config(thing):
    text = json.dumps(serialized(thing, "it"))
    assert arguments(deserialized(json.loads(text), "it")) == arguments(thing)


@register
class Table(generation.LogitsProcessor):
    def __init__(self, table):
        self.table = np.asarray(table)

    def __call__(self, scores, tokens, position, prompt_lengths):
        return scores

    def get_config(self):
        return {"table": self.table}


def test_the_arrays_of_a_config_are_kept():
    table = np.arange(6.0).reshape(2, 3)
    again = deserialized(json.loads(json.dumps(serialized(Table(table), "it"))), "it")
    np.testing.assert_array_equal(again.table, table)


def test_a_sampler_written_for_keras_hub_is_kept():
    keras_hub = pytest.importorskip("keras_hub")

    @register
    class Steep(keras_hub.samplers.RandomSampler):
        def get_next_token(self, probabilities):
            return super().get_next_token(probabilities**4)

    config = json.loads(json.dumps(serialized(KerasHubSampler(Steep(seed=5)), "sampler")))
    again = deserialized(config, "sampler")
    assert (type(again.sampler), again.seed, again.needs_seed) == (Steep, 5, True)


def some_function(scores, tokens, position, prompt_lengths):
    return scores


class Unregistered(generation.GreedySampler):
    pass


@register
class WithoutConfig(generation.TopKSampler):
    def __init__(self, k):
        super().__init__(k, temperature=0.5)


@register
class OfAFunction(Table):
    def get_config(self):
        return {"table": object()}


@pytest.mark.parametrize(
    "thing, message",
    [
        (some_function, "`it` cannot be saved: some_function is a Python function.*register_keras"),
        (Unregistered(), "`it` .*Unregistered is not registered with Keras"),
        (WithoutConfig(3), "`it` .*WithoutConfig has an `__init__` and no `get_config` of its own"),
        (OfAFunction([1]), "`it` .*OfAFunction"),
        (
            generation.RandomSampler(filters=[generation.TopK(3), lambda x: x]),
            r"`filters\[1\] of RandomSampler` cannot be saved: <lambda> is a Python function",
        ),
    ],
)
def test_what_cannot_be_saved_is_named_with_the_way_out(thing, message):
    with pytest.raises(TypeError, match=message):
        serialized(thing, "it")


@pytest.mark.parametrize("name", ["tests>Gone", None, "os>system"])
def test_a_class_that_is_not_registered_is_refused_even_if_its_module_is_there(name):
    config = {**serialized(OBJECTS[1], "it"), "registered_name": name, "module": "os"}
    with pytest.raises(ValueError, match="`it` in the file.*not registered"):
        deserialized(config, "it")
    nested = serialized(OBJECTS[1], "it")
    nested["config"]["filters"][0]["registered_name"] = name
    with pytest.raises(ValueError, match="not registered"):
        deserialized(nested, "it")
