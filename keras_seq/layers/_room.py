"""How many time steps a state has room for, and errors where there are more."""

import contextlib
import contextvars

from keras_seq.layers._scoped import scoped

_recorded = contextvars.ContextVar("recorded_rooms", default=None)


@contextlib.contextmanager
def recorded_rooms():
    """What `check_room` cannot check in a function that is traced inside, to be checked later.

    Gives a list that gets `(position, new, length, hint)`, the position a symbolic tensor.
    """
    rooms = []
    with scoped(_recorded, rooms):
        yield rooms


def check_room(position, new, length, hint="Pass a larger `max_length` to `get_initial_state`."):
    """Raise if `new` more positions do not fit into `length`.

    Inside a compiled graph the position is not known, and whoever compiles must leave enough room.
    """
    if not (isinstance(new, int) and isinstance(length, int)):
        return  # not known before the graph runs
    try:
        written = int(position)
    except Exception:  # symbolic: each backend raises an error of its own
        written = 0
        if _recorded.get() is not None:
            _recorded.get().append((position, new, length, hint))
    if written + new > length:
        raise ValueError(
            f"There is room for {length} time steps, and {written} are taken: {new} more do not "
            f"fit. {hint}"
        )
