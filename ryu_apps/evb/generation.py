"""Generations of the bridge: the ``generation_id`` under which a life of it is MASTER of its switches.

A switch takes the role MASTER from one controller and gives it to another only for a generation that is not older than
the newest that it knows (OpenFlow 1.3, 6.3.5).  Each life of the bridge has a generation of its own: newer than that of
its earlier lives, and, if clocks are right, than that of any bridge that was started before it with another store.  The
low bits are drawn at random, so that two bridges never have the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgpack

from ryu_apps.evb.record_kinds import ATTACHMENT, DEPARTED, GENERATION

#: Bits of a generation below the milliseconds; drawn at random.
SALT_BITS = 16
_MODULUS = 1 << 64
_HALF = _MODULUS >> 1
_KEY = GENERATION.key()


def text(generation: int) -> str:
    """Return the text form of a generation: 16 hexadecimal digits."""
    return f"{generation:016x}"


def newer(one: int, other: int) -> bool:
    """Return True if a generation is newer than another: by their distance, a signed number of 64 bits (6.3.5)."""
    return 0 < (one - other) % _MODULUS < _HALF


def following(before: int, salt: int) -> int:
    """Return the next generation after another."""
    return (((before >> SALT_BITS) + 1 << SALT_BITS) | salt) % _MODULUS


@dataclass(frozen=True, slots=True)
class Life:
    """The beginning of a life.

    Attributes:
        generation: 64 bits.
        remembers: the store knew the generation of an earlier life.  A store that does not was lost, or is new.
        changes: of the store, to be written before the generation is used.
        standby: another bridge with the same store leads; the generation is its own.
    """

    generation: int
    remembers: bool
    changes: Mapping[str, bytes | None]
    standby: bool = False


def begin_life(records: Mapping[str, bytes], milliseconds: int, salt: int, unknown: Mapping[str, bytes | None]) -> Life:
    """Choose the generation of a new life.

    Where the last life was superseded, the grants in the store are out of date: another bridge has moved VSIs since.
    They are left out, and the bridge starts as with a lost store.

    Args:
        records: as the last life has left them.
        milliseconds: Unix time.
        salt: a random number of 16 bits.
        unknown: the records of a store that does not know what the switches hold.
    """
    newest, superseded = _decoded(records.get(_KEY))
    generation = (milliseconds << SALT_BITS | salt) % _MODULUS
    if newest is not None and not newer(generation, newest):
        generation = following(newest, salt)
    outdated = [key for key in records if superseded and key.startswith((ATTACHMENT.prefix, DEPARTED.prefix))]
    changes = {**dict.fromkeys(outdated), **(unknown if superseded else {}), _KEY: _encoded(generation, False)}
    return Life(generation, newest is not None, changes)


def left_to(generation: int) -> dict[str, bytes | None]:
    """Return the record of a life that was superseded by a newer generation."""
    return {_KEY: _encoded(generation, True)}


def taken_over(generation: int) -> dict[str, bytes | None]:
    """Return the record of a life that goes on with another generation."""
    return {_KEY: _encoded(generation, False)}


def _encoded(generation: int, superseded: bool) -> bytes:
    octets: bytes = msgpack.packb([GENERATION.schema, generation, superseded])
    return octets


def _decoded(record: bytes | None) -> tuple[int | None, bool]:
    """Return the newest generation that is known, and whether it was another bridge's."""
    try:
        schema, generation, superseded = msgpack.unpackb(record or b"")
        if schema == GENERATION.schema and isinstance(generation, int) and 0 <= generation < _MODULUS:
            return generation, superseded is True
    except (ValueError, TypeError, msgpack.UnpackException):
        pass
    return None, False
