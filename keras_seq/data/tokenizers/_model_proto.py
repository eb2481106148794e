"""Edits of a SentencePiece model, a protobuf message, as bytes."""


def without_paths(proto):
    """Clears the path of the table of replacements: it differs from run to run.

    Works on the bytes: the classes that come with SentencePiece refuse protobuf older than theirs,
    and on Python 3.10 tensorflow-metadata keeps protobuf at 6.32.
    """
    model = b""
    for field, tag, value in _fields(proto):
        if field == 3:  # normalizer_spec
            spec = b"".join(t + v for f, t, v in _fields(_payload(value)) if f != 6)
            value = _varint(len(spec)) + spec
        model += tag + value
    return model


def _fields(message):
    """Yields (number, bytes of the tag, bytes of the value) of a protobuf message."""
    at = 0
    while at < len(message):
        tag, start = _read_varint(message, at)
        kind = tag & 7
        if kind == 0:
            end = _read_varint(message, start)[1]
        elif kind == 2:
            length, end = _read_varint(message, start)
            end += length
        else:
            end = start + {1: 8, 5: 4}[kind]
        yield tag >> 3, message[at:start], message[start:end]
        at = end


def _payload(value):
    return value[_read_varint(value, 0)[1] :]


def _read_varint(message, at):
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
