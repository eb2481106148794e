"""The progress bar of training."""

import contextlib
import sys

import keras
from tqdm.auto import tqdm


def check_verbose(verbose):
    if verbose not in ("auto", 0, 1):
        raise ValueError(f"`verbose` must be 'auto', 0 or 1. Received: {verbose!r}")


@contextlib.contextmanager
def progress_bar(kind, count, verbose):
    """Yields a function that iterates over texts and moves the bar, which stays until the exit."""
    if verbose == "auto":
        verbose = sys.stdout.isatty() and keras.config.is_interactive_logging_enabled()
    with tqdm(
        total=count, desc=f"{kind} tokenizer", unit=" texts", file=sys.stdout, disable=not verbose
    ) as bar:

        def progress(texts):
            for text in texts:
                yield text
                bar.update()
            bar.set_postfix_str("all texts read, choosing the tokens")

        yield progress
        bar.set_postfix_str("")
