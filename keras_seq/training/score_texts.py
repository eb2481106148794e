"""`ScoreTexts`: BLEU and other scores of what the model writes, among the metrics of an epoch."""

import keras

from keras_seq.training._event_log import EventLog, fenced


class ScoreTexts(keras.callbacks.Callback):
    r"""Translates held-out texts at the end of each epoch and adds their scores to its metrics.

    The texts go through the real decoding, with no target given, so that the scores are those that
    the trained model will have. They are in the epoch's logs as `val_bleu` and the like: in the
    history, in TensorBoard, for `EarlyStopping` and `ModelCheckpoint` to monitor (`mode="max"`).
    Callbacks are called in their order: those that monitor a score must stand after this one
    (`keras_seq.training.resume` moves them).

    The generator is compiled once and reads the weights as they are. Training is as without: no
    random number of it is drawn, and none of its states is touched.

    A perplexity needs no decoding: `keras_hub.metrics.Perplexity(from_logits=True)` among the
    metrics of `compile` gives `val_perplexity`.

    Args:
        translate: function from a list of strings to a list of strings, such as a
            `keras_seq.generation.TextGenerator` of the model that is trained.
        sources: list of strings.
        references: list of strings, one for each source.
        metrics: list of names and functions. `"bleu"`: sacreBLEU of all texts, 0 to 100 (needs the
            package sacrebleu). `"exact_match"`: how many of the texts are the reference, 0 to 1.
            A function is called with the lists of hypotheses and references, gives a number, and is
            known by its name.
        num_shown: how many of the texts are printed, and written to TensorBoard.
        log_dir: folder for TensorBoard, tags `translation/0`, `translation/1`, ... `None`: texts
            are printed only. Needs TensorFlow, on every backend.

    Raises:
        ImportError: if there is a `log_dir` and no TensorFlow, or BLEU is wanted and sacrebleu is
            not installed.
        TypeError: if `translate` is no function.
        ValueError: if there is no source, as many references as sources are not given, or a metric
            is unknown.

    Example:

    ```python
    import keras
    import numpy as np
    from keras_seq.training import ScoreTexts

    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")

    def translate(texts):  # for example, a TextGenerator
        return [text.upper() for text in texts]

    score = ScoreTexts(translate, ["a", "b"], ["A", "C"], metrics=["exact_match"])
    best = keras.callbacks.EarlyStopping("val_exact_match", mode="max")
    x = np.ones((4, 1))
    history = model.fit(x, x, callbacks=[score, best], verbose=0).history
    print(history["val_exact_match"])  # [0.5]
    ```
    """

    adds_to_logs = True  # so that `resume` calls it before those that read the logs
    without_state = ("translate", "sources", "references", "metrics", "log")  # see `CallbackStates`

    def __init__(
        self, translate, sources, references, metrics=("bleu",), num_shown=3, log_dir=None
    ):
        super().__init__()
        if not callable(translate):
            raise TypeError(
                "`translate` of ScoreTexts must be a function of a list of strings, such as a "
                f"keras_seq.generation.TextGenerator. Received: {type(translate)}"
            )
        self.translate = translate
        self.sources, self.references = list(sources), list(references)
        if not self.sources or len(self.sources) != len(self.references):
            raise ValueError(
                "`sources` and `references` of ScoreTexts must be lists of as many strings, at "
                f"least one. Received: {len(self.sources)} sources and {len(self.references)} "
                "references"
            )
        self.metrics = dict(_named(metric) for metric in metrics)
        self.num_shown = num_shown
        self.log = EventLog("ScoreTexts", log_dir)

    def on_epoch_end(self, epoch, logs=None):
        hypotheses = [str(text) for text in self.translate(self.sources)]
        scores = {
            f"val_{name}": float(metric(hypotheses, self.references))
            for name, metric in self.metrics.items()
        }
        if logs is not None:
            logs.update(scores)
        self._show(epoch, hypotheses, scores)

    def on_train_end(self, logs=None):
        self.log.close()

    def _show(self, epoch, hypotheses, scores):
        print(f"\nEpoch {epoch + 1}:", *(f"{name} {score:.4g}" for name, score in scores.items()))
        examples = zip(self.sources, hypotheses, self.references, strict=True)
        for i, (source, hypothesis, reference) in enumerate(examples):
            if i == self.num_shown:
                break
            lines = f"source     {source}\nmodel      {hypothesis}\nreference  {reference}"
            print(lines)
            self.log.text(f"translation/{i}", fenced(lines), epoch)


def bleu(hypotheses, references):
    """Corpus BLEU as sacreBLEU computes it by default."""
    import sacrebleu

    return sacrebleu.corpus_bleu(hypotheses, [references]).score


def exact_match(hypotheses, references):
    """How many of the texts are equal, of all."""
    pairs = zip(hypotheses, references, strict=True)
    return sum(a == b for a, b in pairs) / len(references)


_METRICS = {"bleu": bleu, "exact_match": exact_match}


def _named(metric):
    """`(name, function)` of one of `metrics`."""
    if callable(metric):
        return metric.__name__, metric
    if metric not in _METRICS:
        raise ValueError(
            f"`metrics` of ScoreTexts must be of {sorted(_METRICS)}, or functions. Received: "
            f"{metric!r}"
        )
    if metric == "bleu":
        try:
            import sacrebleu  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "The metric 'bleu' of ScoreTexts needs sacreBLEU. Install it: pip install sacrebleu"
            ) from error
    return metric, _METRICS[metric]
