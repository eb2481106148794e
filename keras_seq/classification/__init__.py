"""Classes of texts and of their words, with a model and its tokenizer."""

from keras_seq.classification.text_classifier import TextClassifier
from keras_seq.classification.text_tagger import TextTagger

__all__ = ["TextClassifier", "TextTagger"]
