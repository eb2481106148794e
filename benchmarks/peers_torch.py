"""Marian and GPT-2 of Hugging Face transformers, and CTranslate2 on their weights."""

import functools
import tempfile

import numpy as np
import torch
import transformers

END, UNKNOWN, START, PAD = 0, 1, 2, -1  # PAD: the last id, as in Marian's vocabularies


def build(system, case, threads):
    """A function that generates (B, N) tokens."""
    torch.set_num_threads(threads)
    sizes = tuple(case[n] for n in ("kind", "vocabulary", "layers", "width", "heads", "inner"))
    model = make_model(*sizes)
    rng = np.random.default_rng(0)
    given = rng.integers(4, case["vocabulary"] - 1, size=(case["batch"], case["given"]))
    if system == "transformers":
        return run_transformers(model, case, torch.from_numpy(given))
    return run_ctranslate2(model, case, given, threads, int8=system.endswith("int8"))


@functools.lru_cache(1)
def make_model(kind, vocabulary, layers, width, heads, inner):
    tokens = {"eos_token_id": END, "pad_token_id": vocabulary + PAD}
    if kind == "translation":
        config = transformers.MarianConfig(
            vocab_size=vocabulary,
            d_model=width,
            encoder_layers=layers,
            decoder_layers=layers,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_ffn_dim=inner,
            decoder_ffn_dim=inner,
            max_position_embeddings=256,
            activation_function="relu",
            scale_embedding=True,
            decoder_start_token_id=START,
            forced_eos_token_id=None,
            **tokens,
        )
        return transformers.MarianMTModel(config).eval()
    config = transformers.GPT2Config(
        vocab_size=vocabulary,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        n_inner=inner,
        n_positions=256,
        bos_token_id=START,
        **tokens,
    )
    return transformers.GPT2LMHeadModel(config).eval()


def run_transformers(model, case, given):
    options = {
        "attention_mask": torch.ones_like(given),
        "max_new_tokens": case["new"],
        "num_beams": case["beams"],
        "do_sample": False,
        "use_cache": True,
    }
    model.generation_config.eos_token_id = None  # nothing ends early, nothing is forbidden

    def generate():
        with torch.inference_mode():
            return model.generate(given, **options)[:, -case["new"] :].numpy()

    return generate


def run_ctranslate2(model, case, given, threads, int8):
    import ctranslate2
    from ctranslate2.converters import transformers as converters

    translation = case["kind"] == "translation"
    names = [f"<{i}>" for i in range(case["vocabulary"])]
    names[END], names[UNKNOWN], names[START] = "</s>", "<unk>", "<s>"
    if translation:
        spec = converters.MarianMTLoader().get_model_spec(model)
        spec.register_source_vocabulary(names[:PAD])  # the loader takes padding's weights away
        spec.register_target_vocabulary(names[:PAD])
        spec.config.decoder_start_token = "</s>"
    else:
        spec = converters.GPT2Loader().get_model_spec(model)
        spec.register_vocabulary(names)
        spec.config.bos_token = "<s>"
    spec.config.eos_token, spec.config.unk_token = "</s>", "<unk>"
    spec.validate()
    spec.optimize(quantization="int8" if int8 else "float32")
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        runtime = ctranslate2.Translator if translation else ctranslate2.Generator
        engine = runtime(
            folder,
            device="cpu",
            compute_type="int8" if int8 else "float32",
            inter_threads=1,
            intra_threads=threads,
        )
    rows = [[names[i] for i in row] for row in given]
    length, beams = case["new"], case["beams"]
    if translation:
        return lambda: [
            row.hypotheses[0]
            for row in engine.translate_batch(
                rows, beam_size=beams, min_decoding_length=length, max_decoding_length=length
            )
        ]
    return lambda: [
        row.sequences[0]
        for row in engine.generate_batch(
            rows,
            beam_size=beams,
            min_length=length,
            max_length=length,
            include_prompt_in_result=False,
        )
    ]
