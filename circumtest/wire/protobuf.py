"""The few protobuf forms that Noise handshakes need: varints and byte strings, each field once.

It refuses to be a protobuf library: no schemas, no groups, no fixed-width numbers, no repetition.
"""

from collections.abc import Mapping

Field = int | bytes
_VARINT, _BYTES = 0, 2
_MAX_VARINT = 10


def pack(fields: Mapping[int, Field]) -> bytes:
    """A message with these fields, in the mapping's order."""
    out = bytearray()
    for number, value in fields.items():
        if isinstance(value, int):
            out += _varint(number << 3 | _VARINT) + _varint(value)
        else:
            out += _varint(number << 3 | _BYTES) + _varint(len(value)) + value
    return bytes(out)


def unpack(data: bytes) -> dict[int, Field]:
    """The fields of a message; of a repeated one the last.  Raises ValueError when malformed."""
    fields: dict[int, Field] = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if key & 7 == _VARINT:
            fields[key >> 3] = value
        elif key & 7 == _BYTES and at + value <= len(data):
            fields[key >> 3] = data[at : at + value]
            at += value
        else:
            raise ValueError("malformed protobuf field")
    return fields


def data(fields: Mapping[int, Field], number: int) -> bytes:
    """A field that must be a byte string.  Raises ValueError when it is missing or a number."""
    match fields.get(number):
        case bytes(value):
            return value
        case _:
            raise ValueError(f"protobuf field {number} is missing")


def integer(fields: Mapping[int, Field], number: int) -> int:
    """A number, 0 where it is missing.  Raises ValueError when it is a byte string."""
    match fields.get(number, 0):
        case int(value):
            return value
        case _:
            raise ValueError(f"protobuf field {number} is not a number")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(data[at : at + _MAX_VARINT]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError("malformed protobuf number")
