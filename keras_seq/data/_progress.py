"""The progress bar of what takes long: training a tokenizer, tokenizing, reading images."""

import sys

import keras
from tqdm.auto import tqdm


def check_verbose(verbose):
    if verbose not in ("auto", 0, 1):
        raise ValueError(f"`verbose` must be 'auto', 0 or 1. Received: {verbose!r}")


def progress_bar(what, count, unit, verbose="auto", **options):
    """A tqdm bar on standard output, to be used in `with`.

    Args:
        what: what is done, shown before the bar.
        count: number of items, or `None` where it is not known.
        unit: name of an item.
        verbose: 1 shows it, 0 does not; `"auto"` shows it in a terminal, unless
            `keras.config.disable_interactive_logging()` was called.
        options: further arguments of `tqdm`.
    """
    if verbose == "auto":
        verbose = sys.stdout.isatty() and keras.config.is_interactive_logging_enabled()
    return tqdm(
        total=count, desc=what, unit=f" {unit}", file=sys.stdout, disable=not verbose, **options
    )
