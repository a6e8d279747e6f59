"""Values that follow from a VSI type, computed once and kept for as long as the type is there.

A VSI type is immutable, so a function of it has one value.  Types are told apart by identity: to compare or hash one
of thousands of rules takes longer than most of what is computed from it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from weakref import finalize

from ryu_apps.evb.policy.model import VsiType

R = TypeVar("R")

#: Values of one type by the other arguments; a station that names ever new ones begins anew.
_MOST = 256


def kept_by_type(compute: Callable[..., R]) -> Callable[..., R]:
    """Keep the values of a pure function of a VSI type and of others, which are positional and hashable.

    The values must not refer to the type.
    """
    kept: dict[int, dict[Any, R]] = {}

    @wraps(compute)
    def value(vsi_type: VsiType, *others: Any) -> R:
        known = kept.get(id(vsi_type))
        if known is None:
            known = kept[id(vsi_type)] = {}
            finalize(vsi_type, kept.pop, id(vsi_type), None).atexit = False
        if others not in known:
            if len(known) >= _MOST:
                known.clear()
            known[others] = compute(vsi_type, *others)
        return known[others]

    return value
