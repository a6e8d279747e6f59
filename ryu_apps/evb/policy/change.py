"""Check that new policies may replace those in force while VSIs use them.

A type in use is neither deleted nor changed under its key, because stations were granted that key.
A new version is a new type, which a station requests by its number.
"""

from __future__ import annotations

from collections.abc import Iterable

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error
from ryu_apps.evb.policy.model import PolicySet


def forbidden_changes(old: PolicySet, new: PolicySet, in_use: Iterable[VsiTypeKey]) -> list[Diagnostic]:
    """Errors that prevent ``new`` from replacing ``old``; empty if it may.

    Args:
        old: the policies now in force.
        new: the policies to put in force.
        in_use: types of which switches hold rules for a VSI.
    """
    found = []
    for key in sorted(set(in_use) & set(old.types)):
        before, after = old.types[key], new.types.get(key)
        if after is None:
            reason = f"VSI type {key} ({before.name}) is in use and cannot be deleted"
            found.append(error(before.file, Position(), reason))
        elif after.digest != before.digest:
            reason = f"VSI type {key} ({before.name}) is in use and cannot be changed in place: give it a new version"
            found.append(error(after.file, Position(), reason))
    return found
