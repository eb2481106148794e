"""`to_ctranslate2`: a Transformer with its search as a folder for CTranslate2."""

import json

from keras_seq.export._digest import LIST_OF_FOLDER, add_folder_digests, check_folder_digests
from keras_seq.export._exported_generator import ExportedGenerator
from keras_seq.export._process import WORKERS, run_artifact
from keras_seq.export._requirements import check_package
from keras_seq.export._target import ExportTarget, export_to, register_target
from keras_seq.export.report import ExportError
from keras_seq.export.targets._ctranslate2_spec import make_spec, read_stacks
from keras_seq.generation.generator import Generator
from keras_seq.generation.samplers import GreedySampler
from keras_seq.generation.search.beam_search import BeamSampler
from keras_seq.stepping._embeddings import positions

_TOLERANCE = {None: 1e-3, "float16": 0.05, "int8": 1.0}
_FACTS = "keras_seq.json"
_PROMPT_LENGTH = 8


def to_ctranslate2(generator, path, *, quantization=None, inputs=None, prompt=None, atol=None):
    """Export a Transformer with greedy or beam search for CTranslate2.

    CTranslate2 is a runtime in C++ for Transformers, on CPUs and GPUs. The folder is loaded with
    `ctranslate2.Translator(path)` (a model from source and target ids to logits) or
    `ctranslate2.Generator(path)` (a decoder-only model). Its tokens are ids in decimal, `"17"`. In
    the folder, `keras_seq.json` holds under `options` the arguments of `translate_batch` or
    `generate_batch` with which they search as the `Generator` does.

    What can be exported are models of the layers of `keras_seq.models.transformer` and
    `decoder_only_transformer`: pre-norm or post-norm, layer or RMS normalization, embeddings with
    sinusoidal, learned or no positions, tied or not, rotary positions, ALiBi in a decoder, gated
    networks, grouped queries; activations ReLU, GELU (exact or tanh), SiLU, tanh, sigmoid. Padding
    of the source is left out before the call; of a source that is the end token alone CTranslate2
    makes nothing. In the target CTranslate2 masks nothing: a model that
    masks the id of padding there must not choose it, which trained models do not.

    The folder is written to a temporary place and run by CTranslate2 in a process of its own. Each
    token must be the one that the Keras model's own call on the whole sequence chooses; the folder
    appears at `path` only if they agree.

    Args:
        generator: a `keras_seq.generation.Generator` with greedy search, or with CTranslate2's beam
            search, `BeamSampler(..., length_penalty_kind="power", early_stopping=True)`; with an
            end token, without logits processors.
        path: of the folder. A CTranslate2 model that exists there is replaced.
        quantization: of the weights: `None` (float32), `"float16"` or `"int8"`. A CPU computes with
            float16 weights in float32, and with int8 weights in int8.
        inputs: source ids to compare on, a dict by name or one array; random ones if `None`.
        prompt: of a decoder-only model: (N, P) prompts to compare on; random ones if `None`.
        atol: tolerance of scores (natural logarithms), and by how much less likely than the
            model's choice a token may be; 1e-3, 0.05 and 1 for the three quantizations if `None`.

    Returns:
        `ExportReport`. With int8, `near_ties` counts the tokens that are not the model's choice.

    Raises:
        TypeError: if `generator` is no `Generator`.
        ValueError: if CTranslate2 cannot express a layer, which is named, or the search.
        ImportError: without CTranslate2.
        ExportError: if the folder cannot be written, loaded or run, or does not agree with the
            model. Then no folder is left.

    Example:

    ```python
    import json

    import ctranslate2
    import keras_seq

    model = keras_seq.models.transformer(30, 20, num_layers=1, num_heads=2, hidden_dim=16)
    generator = keras_seq.generation.Generator(model, max_length=6, start_token=2, end_token=3)
    print(keras_seq.export.to_ctranslate2(generator, "translator", quantization="int8"))

    translator = ctranslate2.Translator("translator")
    with open("translator/keras_seq.json") as file:
        options = json.load(file)["options"]
    result = translator.translate_batch([["5", "6", "7", "3"]], **options)[0]
    print([int(token) for token in result.hypotheses[0]])
    ```
    """
    options = {"quantization": quantization, "inputs": inputs, "prompt": prompt, "atol": atol}
    return export_to(CTranslate2(), generator, path, **options)


class CTranslate2(ExportTarget):
    """A folder with a CTranslate2 model and the options of its search; see `to_ctranslate2`."""

    format = "CTranslate2"

    def prepare(self, model, quantization=None, inputs=None, prompt=None, atol=None):
        check_package("to_ctranslate2", "ctranslate2", extra="ctranslate2")
        if quantization not in _TOLERANCE:
            raise ValueError(
                f"`quantization` of to_ctranslate2 must be one of {list(_TOLERANCE)}. "
                f"Received: {quantization!r}"
            )
        if not isinstance(model, Generator):
            raise TypeError(
                "What to_ctranslate2 exports must be a keras_seq.generation.Generator (of a "
                f"TextGenerator its `generator`). Received: {type(model).__name__}"
            )
        stacks = read_stacks(model.model, model.stepper.target)
        _check_search(model)
        atol = _TOLERANCE[quantization] if atol is None else atol
        length = _prompt_length(model, prompt) if stacks[0] is None else None
        if length is None and prompt is not None:
            raise ValueError(
                "`prompt` of to_ctranslate2 is for decoder-only models; this one begins with "
                f"`start_token`. Received: {prompt!r}"
            )
        exported = _ExportedTransformer(model, None, length, None, inputs, prompt, atol)
        exported.options = {"quantization": quantization, "stacks": stacks}
        return exported

    def prepare_existing(self, path, model, **options):
        if not (path / _FACTS).exists():
            raise ExportError(f"{str(path)!r} was not written by to_ctranslate2: no {_FACTS}.")
        facts = json.loads((path / _FACTS).read_text(encoding="utf-8"))
        return self.prepare(model, quantization=facts["quantization"], **options)

    def recognizes(self, path):
        return (path / "model.bin").exists() and (path / "config.json").exists()

    def write(self, exported, path):
        generator, (encoder, decoder) = exported.model, exported.options["stacks"]
        spec = make_spec(encoder, decoder)
        spec.config.unk_token = str(generator.pad_token)  # of strings that are no id
        spec.config.bos_token = str(generator.pad_token)
        spec.config.eos_token = str(generator.end_tokens[0])
        ids = list(map(str, range(decoder.embedding.vocabulary_size)))
        padding = None
        if encoder is None:
            spec.register_vocabulary(ids)
            kind, padding = "generator", generator.pad_token
        else:
            spec.config.decoder_start_token = str(generator.start_token)
            source_ids = list(map(str, range(encoder.embedding.vocabulary_size)))
            spec.register_source_vocabulary(source_ids)
            spec.register_target_vocabulary(ids)
            kind = "translator"
            if encoder.masks:
                padding = encoder.embedding.padding_id
        quantization = exported.options["quantization"]
        facts = {
            "format": 1,
            "kind": kind,
            "quantization": quantization,
            "pad_token": generator.pad_token,
            "padding": padding,
            "options": _search_options(generator, kind),
        }
        spec.validate()
        spec.optimize(quantization=quantization)
        path.mkdir()
        spec.save(str(path))
        (path / _FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")

    def add_digest(self, path):
        add_folder_digests(path, LIST_OF_FOLDER)

    def check_digest(self, path):
        check_folder_digests(path, LIST_OF_FOLDER)

    def run(self, exported, path):
        return run_artifact(_RUN, path, exported.calls, what="run the CTranslate2 model")


class _ExportedTransformer(ExportedGenerator):
    """A generator whose runtime does not mask the target's padding."""

    def compare(self, what, outputs):
        try:
            return super().compare(what, outputs)
        except ExportError as error:
            _, decoder = self.options["stacks"]
            padding = decoder.embedding.padding_id
            if not decoder.masks or not any(_goes_on_after(padding, o["tokens"]) for o in outputs):
                raise
            raise ExportError(
                f"{error}\nThe artifact chose {padding}, the id of padding, which the model masks "
                "in its target and CTranslate2 does not. A trained model does not choose it; else "
                "build the model with `target_padding_id=None` (`padding_id=None`)."
            ) from None


def _goes_on_after(padding, tokens):
    """Whether a row (B, T) has another token after padding."""
    is_padding = tokens == padding
    return bool((is_padding[:, :-1] & ~is_padding[:, 1:]).any())


_RUN = WORKERS / "run_ctranslate2.py"
register_target("ctranslate2", CTranslate2())


def _check_search(generator):
    """Raise unless CTranslate2 searches as the generator does."""
    sampler, size = generator.sampler, generator.vocabulary_size
    if type(sampler) not in (GreedySampler, BeamSampler):
        raise ValueError(
            "to_ctranslate2 needs a Generator with greedy or beam search. "
            f"Received: sampler={type(sampler).__name__}. CTranslate2 draws if `translate_batch` "
            "and `generate_batch` are told so: export with sampler='greedy'."
        )
    beams = isinstance(sampler, BeamSampler)
    power = beams and (sampler.length_penalty_kind == "power" or not sampler.length_penalty)
    if beams and not (power and sampler.early_stopping is True):
        raise ValueError(
            "to_ctranslate2 needs CTranslate2's beam search, BeamSampler("
            f"{sampler.num_beams}, length_penalty_kind='power', early_stopping=True). Received: "
            f"length_penalty_kind={sampler.length_penalty_kind!r}, "
            f"early_stopping={sampler.early_stopping!r}"
        )
    if generator.logits_processors:
        raise ValueError(
            "to_ctranslate2 needs a Generator without logits processors, banned tokens, minimal "
            "length and penalties. CTranslate2 has some of its own: export without, and give "
            "`translate_batch` or `generate_batch` `suppress_sequences`, `min_decoding_length` "
            "(`min_length`), `repetition_penalty` or `no_repeat_ngram_size`."
        )
    if not generator.end_tokens:
        raise ValueError("to_ctranslate2 needs a Generator with an `end_token`. Received: None")
    if generator.input_size != size:
        raise ValueError(
            "to_ctranslate2 needs as many logits as the target's embedding has ids. "
            f"Received: {size} logits and {generator.input_size} ids"
        )


def _search_options(generator, kind):
    """Arguments of `translate_batch` or `generate_batch`."""
    sampler, end = generator.sampler, list(map(str, generator.end_tokens))
    beams = isinstance(sampler, BeamSampler)
    options = {
        "beam_size": sampler.num_beams if beams else 1,
        "length_penalty": sampler.length_penalty if beams else 0,
        "end_token": end if len(end) > 1 else end[0],
        "return_end_token": True,
        "return_scores": True,
    }
    if kind == "generator":
        options |= {"max_length": generator.max_length, "include_prompt_in_result": False}
    else:  # an empty translation is one; no source is cut
        options |= {"max_decoding_length": generator.max_length}
        options |= {"min_decoding_length": 0, "max_input_length": 0}
    return options


def _prompt_length(generator, prompt):
    """The width of prompts to compare on."""
    if prompt is not None:
        return max(len(row) for row in prompt)
    known = positions(generator.model, generator.stepper.target)
    if known is None:
        return _PROMPT_LENGTH
    return min(_PROMPT_LENGTH, known - generator.max_length + 1)
