"""Texts that the model writes after each epoch: of its weights then, at no cost to training."""

import keras
import numpy as np
import pytest

from keras_seq.training import SampleText
from tests.training.letters import LETTERS, Letters, alphabet, generator, pairs


class KeepSamples(SampleText):
    """What it wrote in each epoch, and a sample of before."""

    def on_train_begin(self, logs=None):
        self.epochs = [self.sample()]

    def sample(self):
        texts = super().sample()
        if hasattr(self, "epochs"):
            self.epochs.append(texts)
        return texts


@pytest.mark.parametrize(
    "prompts, expected",
    [
        (["a", "cde", ""], [LETTERS, "cdefgh", LETTERS]),
        ([[3], [5, 6]], [LETTERS, "cdefgh"]),
        (None, [LETTERS]),
    ],
)
def test_texts_are_those_of_the_weights_and_compiled_once(prompts, expected, capsys):
    model = pairs()
    if prompts and "" in prompts:
        prompts = [*prompts[:2], [1]]  # the start token
        expected = [*expected[:2], "\x00" + LETTERS]
    tokenizer = Letters(add_end=True)
    tokenizer.detokenize = lambda ids: "".join("\x00" if i == 1 else LETTERS[i - 3] for i in ids)
    sample = KeepSamples(generator(model), prompts, tokenizer)
    model.fit(*alphabet(), epochs=3, callbacks=[sample], verbose=0)
    before, *_, last = sample.epochs
    assert last == expected and before != expected
    assert sample.generator.trace_count == 1
    out = capsys.readouterr().out
    assert "Samples of epoch 3:\n  " + expected[0] in out


def test_a_function_of_texts_may_sample(capsys):
    model = pairs()
    callback = SampleText(lambda texts: [text[::-1] for text in texts], ["ab", "cd"])
    model.fit(*alphabet(), epochs=1, callbacks=[callback], verbose=0)
    assert "Samples of epoch 1:\n  ba\n  dc\n" in capsys.readouterr().out


@pytest.mark.parametrize("seed", [0, None])
def test_training_is_as_without_it(seed):
    def trained(*make):
        keras.utils.set_random_seed(0)
        model = pairs(rate=0.5, learning_rate=0.1)
        callbacks = [make_callback(model) for make_callback in make]
        model.fit(*alphabet(), batch_size=2, epochs=2, callbacks=callbacks, verbose=0)
        return model.get_weights()

    def sample(model):
        drawing = generator(model, sampler="random", banned_tokens=[0, 1])
        return SampleText(drawing, ["ab"], Letters(), seed=seed)

    for a, b in zip(trained(), trained(sample), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_same_numbers_are_drawn_each_epoch():
    model = pairs(learning_rate=0.0)
    drawing = generator(model, sampler="random", banned_tokens=[0, 1])
    sample = KeepSamples(drawing, ["ab"], Letters())
    model.fit(*alphabet(), epochs=2, callbacks=[sample], verbose=0)
    assert sample.epochs[0] == sample.epochs[1] == sample.epochs[2]


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((), ValueError, "`tokenizer` of SampleText must be given"),
        (("ab", Letters()), TypeError, "`prompts` of SampleText must be a list"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        SampleText(generator(pairs()), *arguments)


def test_what_generates_nothing_is_refused():
    with pytest.raises(TypeError, match="`generator` of SampleText must be"):
        SampleText(None)
    with pytest.raises(ValueError, match="`prompts` of SampleText must be given"):
        SampleText(list)
