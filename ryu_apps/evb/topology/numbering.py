"""Numbers of what has a name or an identifier, for groups and registers of switches.

Others that come or go change a number only if two meet: a switch has groups of that number while it is given new rules,
and frames must not be led by those of something else meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256


def numbers_of(names: Iterable[str], most: int) -> dict[str, int]:
    """Return a number from 1 to ``most`` for each name, made of it."""
    by_name = {name: int.from_bytes(sha256(name.encode()).digest()[:4]) for name in sorted(names)}
    return dict(zip(by_name, _distinct(by_name.values(), most), strict=True))


def numbers_of_switches(dpids: Iterable[int], most: int) -> dict[int, int]:
    """Return a number from 1 to ``most`` for each datapath id: small ones are their own."""
    known = sorted(dpids)
    return dict(zip(known, _distinct((dpid - 1 for dpid in known), most), strict=True))


def numbers_of_trunks(ports: Mapping[int, int], most: int) -> dict[int, int]:
    """Return a number from 1 to ``most`` for each neighbour, made of the first port that leads to it.

    Args:
        ports: neighbour -> its lowest port number here, unique.  Those up to ``most`` are their own numbers.
    """
    known = sorted(ports, key=lambda neighbour: ports[neighbour])
    return dict(zip(known, _distinct((ports[neighbour] - 1 for neighbour in known), most), strict=True))


def _distinct(wanted: Iterable[int], most: int) -> Iterable[int]:
    taken: set[int] = set()
    for number in wanted:
        number %= most
        while number in taken:
            number = (number + 1) % most
        taken.add(number)
        yield number + 1
