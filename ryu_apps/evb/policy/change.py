"""May these policies replace those while VSIs use them?

A type in use is what stations were told they got: it neither disappears nor changes under its name.
A new version is a new type, which a station asks for by its number.
"""

from __future__ import annotations

from collections.abc import Iterable

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error
from ryu_apps.evb.policy.model import PolicySet


def forbidden_changes(old: PolicySet, new: PolicySet, in_use: Iterable[VsiTypeKey]) -> list[Diagnostic]:
    """What keeps ``new`` from replacing ``old``; empty: nothing does.

    Args:
        old: the policies now in force.
        new: the policies that should be.
        in_use: types that VSIs hold rules of.
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
