"""What runs a `Generator`'s loop: the backend's compiled function, or a registered engine."""

_ENGINES = {}


def register_engine(name, engine):
    """Make an engine known to `Generator` by a name. `export`, which imports this package, does so.

    Args:
        name: string.
        engine: class. `engine(generator)` raises ValueError or ImportError where it cannot run the
            generator's loop. Its `function(*static)`, `Request.static`, returns what takes the
            arrays `Request.arguments` and a seed, and returns tensors `(tokens, scores, steps)`, as
            `Generator.decode`, always of the model as it is.
    """
    _ENGINES[name] = engine


def checked_engine(engine, weights):
    """The engine's name, `"compiled"` or a registered one.

    Raises:
        ValueError: for unknown values, and weights that the engine does not have.
    """
    names = ["auto", "compiled", *sorted(_ENGINES)]
    if engine not in names:
        raise ValueError(f"`engine` of Generator must be one of {names}. Received: {engine!r}")
    if weights not in (None, "int8"):
        raise ValueError(f"`weights` of Generator must be None or 'int8'. Received: {weights!r}")
    if weights is not None and engine == "compiled":
        raise ValueError(
            f"`weights` of Generator must be None for engine='compiled'. Received: {weights!r}. "
            "XLA multiplies by 8-bit weights no faster than by 32-bit ones; leave `engine` out, or "
            "pass engine='litert'."
        )
    if engine == "auto":
        return "compiled" if weights is None else "litert"
    return engine


def make_engine(generator):
    """The generator's registered engine, or `None` for the backend's compiled function."""
    if generator.engine == "compiled":
        return None
    return _ENGINES[generator.engine](generator)
