"""Events about switches and the links between them."""

from __future__ import annotations

from dataclasses import field

from ryu_apps.evb.event_catalogue.base import OPTIONAL, LogEvent, PortEvent, SwitchEvent, event
from ryu_apps.evb.topology.port_id import PortId


# --- connections ----------------------------------------------------------------------------------
@event("switch.awaited")
class SwitchAwaited(SwitchEvent):
    """A configured switch is expected to connect."""


@event("switch.up")
class SwitchConnected(SwitchEvent):
    """A switch has connected."""


@event("switch.down")
class SwitchDisconnected(SwitchEvent):
    """The connection of a switch has ended."""


@event("switch.unknown")
class UnknownSwitch(SwitchEvent):
    """A switch connects that is not configured.

    Attributes:
        address: of the switch.
        times: number of its connections since the last event.
    """

    address: str | None = field(default=None, metadata=OPTIONAL)
    times: int | None = field(default=None, metadata=OPTIONAL)


@event("switch.impostor")
class SwitchImpostor(SwitchEvent):
    """A second connection claims the datapath id of a switch that answers, and is refused.

    Attributes:
        address, connected: of the second connection and of the first.
        times: number of such connections since the last event.
    """

    address: str
    connected: str
    times: int


@event("switch.untrusted")
class TlsFailed(LogEvent):
    """The TLS handshake with a connecting switch failed.

    Attributes:
        address: of the peer.
        times: number of failures since the last event.
    """

    address: str
    reason: str
    times: int


@event("switch.superseded")
class SwitchSuperseded(SwitchEvent):
    """Another controller of a newer generation is MASTER of the switch; this bridge stands aside, at all switches.

    Attributes:
        generation: of this bridge, hexadecimal.
        newest: of the other controller.
    """

    generation: str
    newest: str


@event("switch.taken_over")
class SwitchTakenOver(SwitchEvent):
    """The switch knows a newer generation, but the store does not say of what life; this bridge takes a newer one.

    Attributes:
        before: generation that the switch knows, hexadecimal.
        generation: of this bridge, from now on.
    """

    before: str
    generation: str


@event("switch.unfenced")
class SwitchUnfenced(SwitchEvent):
    """The switch does not know controller roles; a second controller is not kept from changing it."""

    reason: str


# --- rules ----------------------------------------------------------------------------------------
@event("switch.ready")
class SwitchReady(SwitchEvent):
    """A switch holds all of its rules.

    Attributes:
        rules: number of rules that were written.
    """

    rules: int


@event("switch.refused")
class SwitchRefusedRules(SwitchEvent):
    """A switch has refused a change of its rules, groups or meters."""

    reason: str


@event("switch.unsuitable")
class SwitchUnsuitable(SwitchEvent):
    """A switch lacks a feature that its profile needs; it is sent no rule."""

    reason: str


@event("switch.altered")
class SwitchChangedByOthers(SwitchEvent):
    """Another controller or tool has changed the switch, which is compared with its desired state."""


@event("switch.unwatched")
class SwitchUnwatched(SwitchEvent):
    """The switch does not report changes of its rules by others; audits find them."""


@event("switch.gates_unproven")
class GatesUnproven(SwitchEvent):
    """The switch has not proven that gates may open by meters; they open by rules.

    Attributes:
        reason: what has failed.
    """

    reason: str


@event("switch.drift")
class RulesDrifted(SwitchEvent):
    """Rules or meters of the switch differed from its desired state.

    Attributes:
        restored, removed: number of rules and meters.
    """

    restored: int
    removed: int


@event("switch.unclaimed")
class RulesUnclaimed(SwitchEvent):
    """The switch holds rules that no record explains; they stay until their stations have had time to claim them.

    Attributes:
        rules: their number.
    """

    rules: int


@event("switch.claimed")
class UnclaimedRulesRemoved(SwitchEvent):
    """The time for claims is over.

    Attributes:
        removed: number of rules that were not claimed.
    """

    removed: int


# --- fragments ------------------------------------------------------------------------------------
@event("fragments.hidden")
class FragmentPortsHidden(SwitchEvent):
    """The switch hides the ports of first fragments; VSI types that name ports pass no fragments."""


@event("fragments.shown")
class FragmentPortsShown(SwitchEvent):
    """The switch shows the ports of first fragments again."""


@event("fragments.reset")
class FragmentHandlingReset(SwitchEvent):
    """Another tool had changed the fragment handling of the switch; it is as configured again."""


# --- links ----------------------------------------------------------------------------------------
@event("link.up")
class TrunkUp(PortEvent):
    """A link to another switch is up."""


@event("link.down")
class TrunkDown(PortEvent):
    """A link to another switch is down."""


@event("links.changed")
class LinksChanged(SwitchEvent):
    """The switch has reported a change of its links; paths are computed again.

    Attributes:
        down: all ports whose links are down.
    """

    down: tuple[PortId, ...]


@event("ways.settled")
class ReroutingFinished(LogEvent):
    """All switches have confirmed the new paths."""


@event("link.found")
class NeighbourFound(PortEvent):
    """LLDP shows that a link leads to the configured port.

    Attributes:
        expected: configured port.
        found: port at the other end.
    """

    expected: PortId
    found: PortId | None


@event("link.miswired")
class NeighbourMiswired(PortEvent):
    """LLDP shows that a link leads to another port than configured; it is not used.

    Attributes:
        expected: configured port.
        found: port at the other end; null: no switch of this controller.
    """

    expected: PortId
    found: PortId | None


@event("link.silent")
class NeighbourSilent(PortEvent):
    """No LLDP is received any more over a link to another switch.

    Attributes:
        expected: configured port.
    """

    expected: PortId
