"""The exports that are refused, and why: what docs/exports.md says, and what the error says."""

import fnmatch
from typing import NamedTuple


class Refusal(NamedTuple):
    """Why cells of a target are refused.

    Attributes:
        target: one of `TARGETS`.
        keys: of instances, with `*`; those after `!` are not meant.
        reason: for the page: why, and what to do.
        error: regular expression, found in the error.
    """

    target: str
    keys: tuple
    reason: str
    error: str


_TRANSFORMERS = (
    "!generator decoder_only_transformer",
    '!generator language_model(cell="transformer")',
    "!generator transformer",
)

REFUSALS = [
    Refusal(
        "CTranslate2",
        ("model *", "layer *"),
        "CTranslate2 runs generators: export a `Generator` of the model.",
        "must be a keras_seq.generation.Generator",
    ),
    Refusal(
        "CTranslate2",
        ("generator *", *_TRANSFORMERS),
        "CTranslate2 knows Transformers from ids to logits, without recurrences, images or tables "
        "of rows and columns: export to LiteRT or SavedModel.",
        "to_ctranslate2 cannot express",
    ),
    Refusal(
        "ONNX",
        ("generator *",),
        "`to_onnx` writes models and no search: export the generator's `model`.",
        "to_onnx exports functional models, and no search",
    ),
    Refusal(
        "ONNX",
        ("layer LayerNormLSTMCell", "layer PeepholeLSTMCell", "layer GatedCell*", "layer RNN*"),
        "ONNX has operators for the cells of LSTM, GRU and SimpleRNN, alone in `RNN`: write the "
        "layer with `register_onnx`, or export to LiteRT or SavedModel.",
        "ONNX has no operator for its cell",
    ),
    Refusal(
        "ONNX",
        ("layer RelativePositionBias", "layer PositionScheme*"),
        "`to_onnx` writes attention with rotary positions, ALiBi or none.",
        "its positions are a",
    ),
    Refusal(
        "ONNX",
        ("layer AlibiBias, of scores", "layer RotaryEmbedding, of heads", "layer SequenceLayer*"),
        "No emitter: write one with `register_onnx`.",
        "no function of register_onnx writes",
    ),
    Refusal(
        "LiteRT streaming",
        (
            "model captioner*",
            "model seq2seq_rnn*",
            "model transformer",
            "layer AdditiveAttention",
            "layer DotAttention",
            "layer MultiHeadCrossAttention",
            "layer TransformerDecoderBlock",
        ),
        "A stream has one input: where there is a context, export a `Generator`.",
        "needs a model with one input",
    ),
    Refusal(
        "LiteRT streaming",
        (
            'model forecaster(cell="gru")',
            'model forecaster(cell="transformer")',
            "model forecaster",
            "model image_tokenizer*",
            "model sequence_classifier",
            "model set_detector",
            "model vision_transformer",
            "layer AlibiBias, of scores",
            "layer GumbelQuantizer",
            "layer LearnedTokens",
            "layer VectorQuantizer",
        ),
        "Nothing that goes on step by step: an image, one answer for the whole sequence, or a "
        "layer without `step`. Forecasters have `every_step=True` for it.",
        "cannot be stepped",
    ),
    Refusal(
        "LiteRT streaming",
        ('model sequence_classifier(cell="transformer")', "layer TransformerEncoderBlock"),
        "Not causal: what comes later changes what was given before.",
        "is not causal",
    ),
    Refusal(
        "LiteRT streaming",
        ("layer LearnedInitialState",),
        "A client begins a stream with zeros.",
        "needs states that begin with zeros",
    ),
]


def matching(key, target):
    """The refusals of a cell: none or one."""
    return [one for one in REFUSALS if one.target == target and _means(one.keys, key)]


def refusal(key, target):
    """The one of a cell, or `None`."""
    return next(iter(matching(key, target)), None)


def _means(patterns, key):
    def found(pattern):
        return fnmatch.fnmatchcase(key, pattern.replace("[", "[[]"))

    excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    meant = any(found(p) for p in patterns if not p.startswith("!"))
    return meant and not any(map(found, excluded))
