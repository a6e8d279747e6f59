"""Parts of the rules of one owner, by what the rules match on.

A switch may have thousands of rules under one cookie, and composes its answer to a request for them in one go.  Who
knows what they match on can ask for them in slices.
"""

from __future__ import annotations

from typing import NamedTuple

from ryu_apps.evb.flow.actions import Bits
from ryu_apps.evb.flow.match import Match


class RulePart(NamedTuple):
    """Rules of one table.

    Attributes:
        match: all of them match on these fields, with these values.
        cut_by: bits on which all of them match, the lowest bit of each run first.
    """

    table: int
    match: Match
    cut_by: tuple[Bits, ...]
