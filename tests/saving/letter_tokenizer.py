"""A tokenizer that needs no TensorFlow and is registered with Keras."""

import keras


@keras.saving.register_keras_serializable(package="tests")
class LetterTokenizer:
    """A letter an id, from 4 on; 1 is unknown, and 3 ends a text if `add_end`."""

    def __init__(self, letters, add_end=False):
        self.letters, self.add_end = letters, add_end

    def __call__(self, texts):
        ends = [3] * self.add_end
        return [[*(4 + self.letters.find(c) for c in text), *ends] for text in texts]

    def detokenize(self, ids):
        return "".join(self.letters[i - 4] if i >= 4 else "?" for i in ids)

    def vocabulary_size(self):
        return 4 + len(self.letters)

    def get_vocabulary(self):
        return ["<pad>", "<unk>", "<s>", "</s>", *self.letters]

    def get_config(self):
        return {"letters": self.letters, "add_end": self.add_end}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
