"""Limits of what the station of a port may request: patterns of VSIIDs, VSI types and MAC addresses.

Patterns are of the texts that REST and logs have, with ``*`` and ``?``.  Standard library only, as ``fabric``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

_PATTERN = re.compile(r"[0-9a-z.:/*?-]{1,64}\Z")


class StationLimits(NamedTuple):
    """Patterns of what may be requested; an empty tuple: anything.

    Attributes:
        vsis: of VSIIDs, ``52f7*`` or ``mac:02:*``.
        types: of VSI types, ``100/*``.
        macs: of MAC addresses, ``52:54:00:*``.
    """

    vsis: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()

    def beyond(self, vsi: str, vsi_type: str, macs: Iterable[str | None]) -> tuple[str, str] | None:
        """The limit that a request exceeds, by its name, and the value that does; None: it exceeds none.

        Args:
            vsi: canonical text of the VSIID.
            vsi_type: type and version, ``100/1``.
            macs: of its filter; None for an entry without one, which stands for all addresses.
        """
        asked: tuple[tuple[str, tuple[str, ...], Iterable[str | None]], ...] = (
            ("vsis", self.vsis, (vsi,)),
            ("types", self.types, (vsi_type,)),
            ("macs", self.macs, macs),
        )
        for name, patterns, values in asked:
            for value in values if patterns else ():
                if value is None or not any(fnmatchcase(value, pattern) for pattern in patterns):
                    return name, value or "any"
        return None


def limit_pattern(written: str) -> str:
    """A pattern as it is compared: in lower case.

    Raises:
        ValueError: no text has such characters.
    """
    pattern = written.lower()
    if _PATTERN.match(pattern) is None:
        raise ValueError("a value, or its beginning and *, was expected, such as '52:54:00:*'")
    return pattern
