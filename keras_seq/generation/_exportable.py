"""Whether what a generator does can stand in a file."""


def check_exportable(generator):
    """Raise unless what `generator` does can stand in a file: a loop that draws no numbers."""
    strategy = generator.strategy
    several = getattr(strategy, "num_return_sequences", None) is not None
    if getattr(strategy, "needs_seed", False) or several:
        raise ValueError(
            f"A generator with {type(generator.sampler).__name__} cannot be exported: a file gives "
            "one sequence a row, the same at every call. Build the Generator for export with "
            '`sampler="greedy"`, or a BeamSampler without `num_return_sequences` and '
            "`return_all_beams`."
        )
