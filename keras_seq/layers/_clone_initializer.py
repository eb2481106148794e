"""Weights of one layer that start apart, though they share an initializer."""


def clone_initializer(initializer):
    """A copy of `initializer` that draws values of its own.

    A Keras initializer keeps its seed, so that one object gives every weight of a shape the same
    values: queries would start equal to keys. A copy of one without a seed gets a seed anew; one
    that was given a seed keeps it.

    Args:
        initializer: what `keras.initializers.get` gives: an initializer or a function.

    Returns:
        An initializer for one weight.
    """
    clone = getattr(initializer, "clone", None)
    return initializer if clone is None else clone()
