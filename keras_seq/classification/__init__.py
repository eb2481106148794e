"""Classes of texts, with a model and its tokenizer."""

from keras_seq.classification.text_classifier import TextClassifier

__all__ = ["TextClassifier"]
