"""Whether what a generator does can stand in a file."""

from keras_seq.generation.search.token_search import TokenSearch


def check_exportable(generator, takes_seed=False):
    """Raise unless what `generator` does can stand in a file.

    Args:
        generator: the `Generator`.
        takes_seed: whether the file has an input for the seed of a sampler that draws.
    """
    strategy, name = generator.strategy, type(generator.sampler).__name__
    if getattr(strategy, "num_return_sequences", None) is not None:
        raise ValueError(
            f"A generator with {name} cannot be exported: a file gives one sequence a row. Build "
            "the Generator for export with a BeamSampler without `num_return_sequences` and "
            "`return_all_beams`."
        )
    if not getattr(strategy, "needs_seed", False):
        return
    if not takes_seed:
        raise ValueError(
            f"A TextGenerator with {name}, which draws, cannot be exported: texts have no seed. "
            'Export its `generator`, whose file takes one, or build it with `sampler="greedy"`.'
        )
    if not isinstance(strategy, TokenSearch):
        raise ValueError(
            f"A generator with {name}, a search that draws, cannot be exported: what it chooses "
            "cannot be compared with the model's own call. Samplers that draw token by token can."
        )
