"""Tokenizers inside a SavedModel."""

import contextlib


@contextlib.contextmanager
def separate_resource_names(tokenizers):
    """Let each SentencePiece tokenizer own its resource in the SavedModel that is written inside.

    TensorFlow Text gives all SentencePiece models of a SavedModel one resource name, so that after
    loading each tokenizer works with the last one's vocabulary
    (github.com/tensorflow/text/issues/1304). Tokenizers built with names of their own are apart.

    Args:
        tokenizers: KerasHub tokenizers; those that are not SentencePiece stay as they are.
    """
    import keras_hub
    import tensorflow_text

    kept = []
    for i, tokenizer in enumerate(tokenizers):
        if not isinstance(tokenizer, keras_hub.tokenizers.SentencePieceTokenizer):
            continue
        kept.append((tokenizer, tokenizer._sentence_piece))
        tokenizer._sentence_piece = tensorflow_text.SentencepieceTokenizer(
            model=tokenizer.proto,
            out_type=tokenizer.compute_dtype,
            add_bos=tokenizer.add_bos,
            add_eos=tokenizer.add_eos,
            name=f"tokenizer_{i}",
        )
    try:
        yield
    finally:
        for tokenizer, original in kept:
            tokenizer._sentence_piece = original
