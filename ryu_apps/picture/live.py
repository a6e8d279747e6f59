"""State of a running controller's fabric: the answers of ``/evb/status`` and ``/evb/vsis`` as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ryu_apps.evb.topology.port_id import PortId


class VsiStage(Enum):
    """Progress of a VSI at a port (value: in words)."""

    UNDER_WAY = "under way"
    """Something is being installed or removed, or nothing is installed yet."""
    STAGED = "staged"
    ACTIVE = "active"


#: Phases of the REST interface; in phase "none" there is nothing to show.
_STAGES = {
    "preassociated": VsiStage.UNDER_WAY,
    "staging": VsiStage.UNDER_WAY,
    "staged": VsiStage.STAGED,
    "activating": VsiStage.UNDER_WAY,
    "active": VsiStage.ACTIVE,
    "releasing": VsiStage.UNDER_WAY,
}


class LiveError(ValueError):
    """The answer is not a controller's; the text names the missing part."""


@dataclass(frozen=True, slots=True)
class Marker:
    """A VSI at a port.

    Attributes:
        vsi: the VSIID as text.
        label: its name or, if it has none, the beginning of the VSIID.
        phase: as the controller has it.
        vsi_type: ``1/1``; empty if it is not known.
    """

    port: PortId
    vsi: str
    label: str
    stage: VsiStage
    phase: str
    vsi_type: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """Live state of a fabric.

    Attributes:
        markers: VSIs; one that moves is at two ports.
        down: ports without a link.
        absent: switches that are not ready for use, and what they are instead.
    """

    markers: tuple[Marker, ...] = ()
    down: frozenset[PortId] = frozenset()
    absent: dict[int, str] = field(default_factory=dict)


#: No controller has been queried.
QUIET = Live()


def read_live(status: Any, vsis: Any) -> Live:
    """Read the two answers, decoded from JSON.

    Raises:
        LiveError: they are something else.
    """
    try:
        switches = {int(switch["dpid"], 16): switch for switch in status["switches"]}
        return Live(
            tuple(marker for vsi in vsis for marker in _markers(vsi)),
            frozenset(
                PortId(dpid, port["port_no"])
                for dpid, switch in switches.items()
                for port in switch["ports"]
                if port["up"] is False
            ),
            {dpid: switch["readiness"] for dpid, switch in switches.items() if switch["readiness"] != "ready"},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LiveError(f"not the answers of a controller: {error!r}") from None


def _markers(one: Any) -> list[Marker]:
    return [
        Marker(
            PortId(int(at["dpid"], 16), at["port_no"]),
            one["vsi"],
            one["name"] or one["vsi"][:8],
            _STAGES[at["phase"]],
            at["phase"],
            at["type"] or "",
        )
        for at in one["attachments"]
        if at["phase"] != "none"
    ]
