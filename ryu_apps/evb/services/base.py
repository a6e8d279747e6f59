"""What a service is: data that says which rules it contributes, and to whom.

A service knows a policy and a VSI; it knows no switch, no other service and no moment in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.vsi.model import VsiBinding


def _nothing_per_type(vsi_type: VsiType, epoch: int) -> Iterable[Rule]:
    return ()


def _nothing_per_vsi(vsi_type: VsiType, binding: VsiBinding) -> Iterable[Rule]:
    return ()


@dataclass(frozen=True, slots=True)
class Service:
    """One service that follows a VM.

    Attributes:
        name: as in the table of services.
        per_type: staged rules that all VSIs of a type epoch share; they match
            ``pipeline.type_metadata`` and carry the cookie of the epoch.
        per_vsi: staged rules that name one VSI's own addresses; they match
            ``pipeline.vsi_metadata`` and carry the cookie of its index and generation.
    """

    name: str
    per_type: Callable[[VsiType, int], Iterable[Rule]] = _nothing_per_type
    per_vsi: Callable[[VsiType, VsiBinding], Iterable[Rule]] = _nothing_per_vsi
