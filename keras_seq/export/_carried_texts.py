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
        self.text_generator = text_generator
        source, target = text_generator.source_tokenizer, text_generator.target_tokenizer
        self.folders = dict.fromkeys(("source_tokenizer", "target_tokenizer"), "source_tokenizer")
        self.files = tokenizer_files("source_tokenizer", source)
        if target is not source:
            self.folders["target_tokenizer"] = "target_tokenizer"
            self.files |= tokenizer_files("target_tokenizer", target)

    def options(self, inputs=None, prompt=None, **options):
        """The options of the generator's export: strings to compare on become ids."""
        texts, model = inputs, self.text_generator
        if model.source_input is None:
            return {**options, "prompt": texts if texts is None else model.tokenize(texts)}
        if texts is not None:
            inputs = {model.source_input: model.tokenize(texts)}
        if options.get("source_length") is None and model.source_length is not None:
            options["source_length"] = model.source_length
        return {**options, "inputs": inputs}
