"""Records with length and checksums, one after the other: what was torn at the end is told from what was damaged.

The last record alone cannot be told: one that was written whole and damaged later reads like one that was torn.
"""

from __future__ import annotations

import struct
import zlib

_MAGIC = b"\x89SDF"
# Magic, length and checksum of the record; then a checksum of these, so that a damaged length leads nowhere.
_HEAD = struct.Struct("<4sQI")
_CHECK = struct.Struct("<I")
_SIZE = _HEAD.size + _CHECK.size


class DamagedError(ValueError):
    """A record before others is not what was written."""


def framed(record: bytes) -> bytes:
    """A record as it is written."""
    head = _HEAD.pack(_MAGIC, len(record), zlib.crc32(record))
    return b"".join((head, _CHECK.pack(zlib.crc32(head)), record))


def unframed(data: bytes) -> list[bytes]:
    """The whole records; what is torn after the last of them was never acknowledged, and is left out.

    >>> from sheaf._runtime.durable import frames
    >>> written = frames.framed(b"one") + frames.framed(b"two")
    >>> frames.unframed(written[:-1])
    [b'one']
    >>> frames.unframed(written.replace(b"one", b"eno"))
    Traceback (most recent call last):
    sheaf._runtime.durable.frames.DamagedError: the record at byte 0 is damaged, and there are others behind it
    """
    records, at = [], 0
    while (record := _whole(data, at)) is not None:
        records.append(record)
        at += _SIZE + len(record)
    behind = data.find(_MAGIC, at + 1)
    while behind >= 0:
        if _whole(data, behind) is not None:
            raise DamagedError(f"the record at byte {at} is damaged, and there are others behind it")
        behind = data.find(_MAGIC, behind + 1)
    return records


def _whole(data: bytes, at: int) -> bytes | None:
    if len(data) < at + _SIZE:
        return None
    magic, length, checksum = _HEAD.unpack_from(data, at)
    (of_head,) = _CHECK.unpack_from(data, at + _HEAD.size)
    if magic != _MAGIC or of_head != zlib.crc32(data[at : at + _HEAD.size]):
        return None
    record = data[at + _SIZE : at + _SIZE + length]
    return record if len(record) == length and zlib.crc32(record) == checksum else None
