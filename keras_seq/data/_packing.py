"""Several documents in one row, so that rows are full: where each lies, and what a row holds."""

import numpy as np


def pack(lengths, capacity):
    """Packs documents into rows: the longest first, each into the fullest row that has room.

    (Best-fit decreasing; Johnson 1973 shows that it needs at most 11/9 of the fewest rows, and
    four more.)

    Args:
        lengths: (N,) integers from 1 to `capacity`.
        capacity: places of a row.

    Returns:
        `(row, start)`: two (N,) integer arrays, the row and the first place of each document. In a
        row, documents have no gap between them.
    """
    lengths = np.asarray(lengths)
    row, start = np.zeros(len(lengths), "int64"), np.zeros(len(lengths), "int64")
    # For each amount of free places the rows that have it, and the amounts that any row has.
    free = [[] for _ in range(capacity + 1)]
    amounts, rows = _Amounts(), 0
    for document in np.argsort(-lengths, kind="stable"):
        need = int(lengths[document])
        room = amounts.least_from(need)
        if room is None:
            here, room = rows, capacity
            rows += 1
        else:
            here = free[room].pop()
            if not free[room]:
                amounts.remove(room)
        row[document], start[document] = here, capacity - room
        if room > need:
            if not free[room - need]:
                amounts.add(room - need)
            free[room - need].append(here)
    return row, start


class _Amounts:
    """A set of positive integers, as the bits of one integer."""

    bits = 0

    def add(self, amount):
        self.bits |= 1 << amount

    def remove(self, amount):
        self.bits &= ~(1 << amount)

    def least_from(self, amount):
        above = self.bits >> amount
        return amount + (above & -above).bit_length() - 1 if above else None


def cut(documents, longest):
    """Cuts documents into pieces of at most so many tokens.

    Args:
        documents: `Ragged`.
        longest: greatest length of a piece.

    Returns:
        `(begins, ends, cut)`: (P,) places in `documents.values` of each piece, and how many
        documents were cut.
    """
    lengths = documents.lengths
    pieces = -(-lengths // longest)
    which = np.repeat(np.arange(len(documents)), pieces)
    number = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begins = documents.begins[which] + number * longest
    return begins, np.minimum(begins + longest, documents.ends[which]), int((pieces > 1).sum())


def fill_rows(values, begins, lengths, row, start, capacity, pad=0):
    """Puts pieces of an array into rows.

    Args:
        values: (M,) array.
        begins, lengths: (P,) integers: piece i is `values[begins[i]:begins[i] + lengths[i]]`.
        row, start: (P,) integers: where it goes.
        capacity: T, places of a row.
        pad: what fills the rest.

    Returns:
        (R, T) array.
    """
    rows = np.full((int(row.max()) + 1 if len(row) else 0, capacity), pad, values.dtype)
    step = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows[np.repeat(row, lengths), np.repeat(start, lengths) + step] = values[
        np.repeat(begins, lengths) + step
    ]
    return rows
