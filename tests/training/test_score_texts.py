"""Scores of decoded texts among the metrics of an epoch."""

import keras
import numpy as np
import pytest

import keras_seq as ks
from keras_seq.training import SampleText, ScoreTexts
from tests.training.letters import LETTERS, START, Letters, V, alphabet, generator, pairs

SOURCES = ["abcd", "efgh", "ah"]


def speller(model):
    """A function of texts: each text's first letter and those that the model lets follow."""
    inner, letters = generator(model), Letters()

    def spell(texts):
        tokens = inner.generate(prompt=letters([text[:1] for text in texts])).tokens
        rows = keras.ops.convert_to_numpy(tokens)
        return [letters.detokenize([i for i in row if i > START + 1]) for row in rows]

    spell.generator = inner
    return spell


def test_scores_are_metrics_of_the_epoch_that_others_monitor():
    model = pairs()
    spell = speller(model)
    score = ScoreTexts(spell, ["a", "c"], [LETTERS, "cde"], metrics=["exact_match"])
    stop = keras.callbacks.EarlyStopping("val_exact_match", mode="max", patience=2)
    history = model.fit(*alphabet(), epochs=9, callbacks=[score, stop], verbose=0).history
    # One of two once it has learned to spell, which has no better epoch: stopped two later.
    assert history["val_exact_match"][-3:] == [0.5] * 3
    assert len(history["loss"]) < 9
    assert spell.generator.trace_count == 1


def test_bleu_is_that_of_sacrebleu(capsys):
    sacrebleu = pytest.importorskip("sacrebleu")
    hypotheses = ["the cat sat on a mat", "it is so good"]
    references = ["the cat sat on the mat", "it is very good"]

    def words(hypotheses, references):
        return np.mean([len(text.split()) for text in hypotheses])

    model = pairs()
    score = ScoreTexts(
        lambda texts: hypotheses, ["x", "y"], references, metrics=["bleu", words], num_shown=1
    )
    history = model.fit(*alphabet(), callbacks=[score], verbose=0).history
    expected = sacrebleu.corpus_bleu(hypotheses, [references]).score
    assert expected > 10
    assert history["val_bleu"] == [expected] and history["val_words"] == [5.0]
    out = capsys.readouterr().out
    assert f"val_bleu {expected:.4g} val_words 5" in out
    assert f"source     x\nmodel      {hypotheses[0]}\nreference  {references[0]}" in out
    assert hypotheses[1] not in out


def test_a_text_generator_translates_and_is_compiled_once():
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    s, t = keras.layers.Embedding(V, V)(source), keras.layers.Embedding(V, V)(target)
    model = keras.Model([source, target], t + ks.layers.DotAttention()(t, s))
    inner = generator(model, max_length=3, self_check=False)
    translate = ks.generation.TextGenerator(inner, Letters(add_end=True), Letters())
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = alphabet(4)
    score = ScoreTexts(translate, SOURCES, SOURCES, metrics=["exact_match"])
    history = model.fit({"source": x, "target": x}, y, epochs=2, callbacks=[score], verbose=0)
    assert len(history.history["val_exact_match"]) == 2
    assert inner.trace_count == 1


@pytest.mark.needs_tensorflow(reason="runs that go on are TensorFlow's")
def test_a_resumed_run_scores_and_stops_as_an_unbroken_one(tmp_path, capsys):
    import tensorflow as tf

    from keras_seq.training import resume

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1  # of four

    data = tf.data.Dataset.from_tensor_slices(alphabet()).batch(2)
    results = {}
    for folder, stops in (("whole", [()]), ("broken", [[Stop()]] * 3 + [(), ()])):
        for more in stops:
            keras.utils.set_random_seed(0)
            model = pairs(rate=0.3, learning_rate=0.1)
            callbacks = [
                # It reads the score, and is given before what makes it.
                keras.callbacks.EarlyStopping("val_exact_match", mode="max", patience=2),
                SampleText(generator(model), ["a"], Letters()),
                ScoreTexts(speller(model), SOURCES, ["abcdefgh"] * 3, metrics=["exact_match"]),
                *more,
            ]
            history = resume(
                model, data, tmp_path / folder, epochs=9, callbacks=callbacks, verbose=2
            )
        results[folder] = history.history, model.get_weights()
    (whole, weights), (broken, others) = results.values()
    assert whole == broken and 3 <= len(whole["val_exact_match"]) < 9
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_array_equal(a, b)
    assert "Not in the checkpoint" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((None, ["a"], ["b"]), TypeError, "`translate` of ScoreTexts must be a function"),
        ((list, ["a"], ["b", "c"]), ValueError, "1 sources and 2 references"),
        ((list, [], []), ValueError, "at least one"),
        ((list, ["a"], ["b"], ["blue"]), ValueError, "must be of .'bleu', 'exact_match'."),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ScoreTexts(*arguments)
