"""A text generator's tokenizers, carried by the file of its generator."""

from keras_seq.export._tokenizer_files import tokenizer_files


class CarriedTexts:
    """What a file of ids needs, so that `keras_seq.runtime` goes from strings to strings.

    Args:
        text_generator: a `keras_seq.generation.TextGenerator`.

    Raises:
        TypeError: if a tokenizer cannot be read without TensorFlow.
    """

    def __init__(self, text_generator):
        source, target = text_generator.source_tokenizer, text_generator.target_tokenizer
        self.folders = dict.fromkeys(("source_tokenizer", "target_tokenizer"), "source_tokenizer")
        self.files = tokenizer_files("source_tokenizer", source)
        if target is not source:
            self.folders["target_tokenizer"] = "target_tokenizer"
            self.files |= tokenizer_files("target_tokenizer", target)


def compared_ids(text_generator, texts):
    """The options of its generator's export that say what is compared on: strings as ids."""
    if texts is None:
        return {}
    name, ids = text_generator.source_input, text_generator.tokenize(texts)
    return {"prompt": ids} if name is None else {"inputs": {name: ids}}
