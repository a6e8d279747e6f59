"""Events about VSIs: their VDP requests, their rules at the switches, and what follows them when they move."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.event_catalogue.base import DetachedVsiEvent, LadderArrow, LogLevel, VsiEvent, event
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.status import ResponseStatus, VdpError
from ryu_apps.evb.wire.vdp import VdpMode

_MODES = {
    VdpMode.PREASSOCIATE: "Pre-Associate",
    VdpMode.PREASSOCIATE_RR: "Pre-Associate with RR",
    VdpMode.ASSOCIATE: "Associate",
    VdpMode.DEASSOCIATE: "De-Associate",
}
_ERRORS: dict[int, str] = {
    VdpError.SUCCESS: "success",
    VdpError.INVALID_FORMAT: "error 1: invalid format",
    VdpError.INSUFFICIENT_RESOURCES: "error 2: insufficient resources",
    VdpError.UNABLE_TO_CONTACT_VSI_MANAGER: "error 3: unable to contact VSI manager",
    VdpError.OTHER_FAILURE: "error 4: other failure",
    VdpError.INVALID_VID_GROUP_MAC: "error 5: invalid VID, GroupID or MAC",
}


def _with(words: str, reason: str | None) -> str:
    return f"{words}: {reason}" if reason else words


# --- requests and answers -------------------------------------------------------------------------
@event("vdp.request", ladder=LadderArrow.FROM_STATION)
class VdpRequested(VsiEvent):
    """A station requests a VSI; keep-alives are no events.

    Attributes:
        type: VSI type.
        migrating, suspended: the M and the S bit.
    """

    mode: VdpMode
    type: VsiTypeKey
    migrating: bool
    suspended: bool

    @property
    def ladder_text(self) -> str:
        """The mode."""
        return _MODES[self.mode]


@event("vdp.response", ladder=LadderArrow.TO_STATION)
class VdpAnswered(VsiEvent):
    """The answer to a request, except to a keep-alive."""

    mode: VdpMode
    status: ResponseStatus

    @property
    def ladder_text(self) -> str:
        """The mode, the error type and the bits of the status."""
        words = _ERRORS.get(self.status.error, f"error {self.status.error:d}")
        bits = [name for name, is_set in (("Hard", self.status.hard), ("Keep", self.status.keep)) if is_set]
        return f"{_MODES[self.mode]}: {' + '.join([words, *bits])}"


@event("vdp.refused", level=LogLevel.WARNING, idle=True, ladder=LadderArrow.AT_SWITCH)
class VdpRefused(VsiEvent):
    """The reason for a refusal.

    Attributes:
        error: error type of the answer.
    """

    reason: str
    error: VdpError

    @property
    def ladder_text(self) -> str:
        """The reason."""
        return _with("refused", self.reason)


@event("vdp.refusal_ignored", idle=True, ladder=LadderArrow.AT_SWITCH)
class RefusalIgnored(VsiEvent):
    """An Associate is refused after a Pre-Associate, and the hypervisor runs the guest all the same, isolated.

    Attributes:
        status: the answer; the reason is in ``vdp.refused``.
        owner: port that has the VSI.
    """

    status: ResponseStatus
    owner: PortId | None

    @property
    def ladder_text(self) -> str:
        """The consequence."""
        return "the hypervisor ignores the refusal: the guest is isolated"


@event("vdp.announce", ladder=LadderArrow.TO_STATION)
class UnsolicitedDeassociate(VsiEvent):
    """The bridge sends an unsolicited De-Associate."""

    reason: str

    @property
    def ladder_text(self) -> str:
        """The reason."""
        return _with("De-Associate, unsolicited", self.reason)


@event("vsi.suspended")
class VsiSuspended(VsiEvent):
    """The station where the VM was sets the S bit: the VM is suspended there."""


@event("vsi.active")
class VsiActive(VsiEvent):
    """An Associate has succeeded."""


@event("vsi.gone")
class VsiGone(VsiEvent):
    """Nothing is left of a VSI at a port."""


@event("vsi.announced", ladder=LadderArrow.AT_SWITCH)
class VsiAnnounced(VsiEvent):
    """The place of a VSI was announced at host ports, by gratuitous ARP and the like.

    Attributes:
        frames: number of frames.
    """

    frames: int

    @property
    def ladder_text(self) -> str:
        """The number of frames."""
        return f"announced at host ports ({self.frames} frames)"


@event("vsi.restored")
class VsiRestored(VsiEvent):
    """A VSI was restored after a restart of the controller.

    Attributes:
        mode: mode in force.
    """

    mode: VdpMode


# --- VSI ports ------------------------------------------------------------------------------------
@event("vsi.port_missing", idle=True, ladder=LadderArrow.AT_SWITCH)
class VsiPortMissing(VsiEvent):
    """An Associate is refused, because the VSI port of the VM is not at the switch of its server.

    Attributes:
        vsi_port: its name.
    """

    vsi_port: str

    @property
    def ladder_text(self) -> str:
        """The name of the port."""
        return f"VSI port {self.vsi_port} is not there"


@event("vsi.port_gone", idle=True)
class VsiPortGone(VsiEvent):
    """The VSI port of an associated VSI has disappeared; its gate is shut until the port returns.

    Attributes:
        vsi_port: its name.
    """

    vsi_port: str


@event("vsi.port_found")
class VsiPortFound(VsiEvent):
    """The VSI port of an associated VSI is there again, or has another number.

    Attributes:
        vsi_port: its name.
        port_no: its OpenFlow number now.
    """

    vsi_port: str
    port_no: int


# --- the gate of a VSI is at a switch that is away ------------------------------------------------
@event("vsi.waits", ladder=LadderArrow.AT_SWITCH)
class SwitchWaitedFor(VsiEvent):
    """An Associate waits, because the switch that may have the gate of its VSI open is not connected or not ready.

    Attributes:
        left: the port of that switch.
    """

    left: PortId

    @property
    def ladder_text(self) -> str:
        """The port whose gate is to be shut."""
        return f"waits for the switch of {self.left}"


@event("vsi.gate_left")
class GateLeft(VsiEvent):
    """The gate of a VSI was opened elsewhere, although this switch may have it open: it has been away for too long.

    Attributes:
        opened_at: the other port.
    """

    opened_at: PortId


# --- two ports request one VSI --------------------------------------------------------------------
@event("vsi.contested")
class VsiContested(VsiEvent):
    """A port requests a VSI that is associated at another port without having announced a move, and is refused.

    Attributes:
        owner: the other port, or the switch that has it.
        claimant: port of the request.
    """

    owner: str
    claimant: PortId


@event("vsi.flapping")
class VsiFlapping(VsiEvent):
    """Ports have taken a VSI from each other so often that the one that has it keeps it for a while: stations fight.

    Attributes:
        moves: how often.
        seconds: time in which there were so many, and for which other ports are refused.
    """

    moves: int
    seconds: int


@event("vsi.address_in_use")
class AddressInUse(VsiEvent):
    """A VSI requests an address that belongs to another, and is refused: its VM is a clone, or poses as another.

    Attributes:
        address: MAC or IP address with its VLAN.
        holder: the owner, which keeps it.
    """

    address: str
    holder: str


@event("vsi.not_permitted")
class VsiNotPermitted(VsiEvent):
    """A station requests what the configuration of its port does not permit, and is refused.

    Attributes:
        limit: ``vsis``, ``types`` or ``macs``.
        value: what was requested; ``any``: a VID without a MAC address.
    """

    limit: str
    value: str


@event("vsi.settled")
class VsiSettled(DetachedVsiEvent):
    """No other port requests the VSI any more, or it has moved.

    Attributes:
        owner: port of the VSI; null: none.
    """

    owner: PortId | None


@event("vsi.stale")
class StaleVsiRequested(VsiEvent):
    """A station repeats the request for a VSI that it has lost; the answer is De-Associate.

    Attributes:
        owner: present port of the VSI; null: none.
    """

    owner: PortId | None
    reason: str


# --- rules ----------------------------------------------------------------------------------------
@event("flow.staging", ladder=LadderArrow.AT_SWITCH)
class BodyStaging(VsiEvent):
    """The rules of a VSI are sent to its switch.

    Attributes:
        rules: their number.
        epoch: number of the compiled VSI type.
    """

    rules: int
    epoch: int

    @property
    def ladder_text(self) -> str:
        """The number of rules."""
        return f"body: installing ({self.rules} rules)"


@event("flow.staged", ladder=LadderArrow.AT_SWITCH)
class BodyStaged(VsiEvent):
    """The switch has confirmed the rules of a VSI and shows them.

    Attributes:
        rules: their number.
        services: the services of the VSI type.
    """

    rules: int
    services: tuple[str, ...]

    @property
    def ladder_text(self) -> str:
        """The number of rules."""
        return f"body staged, read back ({self.rules} rules)"


@event("groups.staged")
class GroupsStaged(VsiEvent):
    """The multicast groups of a VSI are staged.

    Attributes:
        groups: number of its memberships.
        configured: number of groups of its VSI type.
    """

    groups: int
    configured: int


@event("copies.begun")
class CopiesBegun(VsiEvent):
    """Switches send what is for a VSI to its destination as well, while it moves.

    Attributes:
        switches: number of switches that send copies.
        seconds: duration, unless the VSI moves before.
    """

    switches: int
    seconds: int


@event("flow.activating", ladder=LadderArrow.AT_SWITCH)
class GateOpening(VsiEvent):
    """The gate of a VSI is being opened.

    Attributes:
        switches: number of switches that change.
    """

    switches: int

    @property
    def ladder_text(self) -> str:
        """The words alone."""
        return "gate: opening"


@event("flow.activated", ladder=LadderArrow.AT_SWITCH)
class GateOpened(VsiEvent):
    """All switches have confirmed the gate of a VSI."""

    @property
    def ladder_text(self) -> str:
        """The words alone."""
        return "gate open"


@event("flow.swept", ladder=LadderArrow.AT_SWITCH)
class RulesSwept(VsiEvent):
    """The gate and the rules of a VSI are removed from a switch."""

    @property
    def ladder_text(self) -> str:
        """The words alone."""
        return "gate and body gone"


# --- what follows a VSI ---------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class StateEvent(VsiEvent):
    """An event about learnt state that follows a VSI; it may come after the end of the migration."""


@dataclass(frozen=True, slots=True)
class StateRulesEvent(StateEvent):
    """An event about rules of learnt state.

    Attributes:
        rules: number of rules of state.
        services: their number by service.
    """

    rules: int
    services: dict[str, int]


@event("state.carried", ladder=LadderArrow.AT_SWITCH)
class StateCarried(StateRulesEvent):
    """Learnt state of the source is staged along with the rules."""

    @property
    def ladder_text(self) -> str:
        """The number of rules."""
        return f"state read at the source, staging it ({self.rules} rules)"


@event("state.refreshed", ladder=LadderArrow.AT_SWITCH)
class StateRefreshed(StateRulesEvent):
    """Staged state was read anew, and differed.

    Attributes:
        added, ended: rules that are new, and that are gone.
    """

    added: int
    ended: int

    @property
    def ladder_text(self) -> str:
        """The number of rules."""
        return f"staged state refreshed ({self.added} rules more, {self.ended} ended)"


@event("state.fixed_up", ladder=LadderArrow.AT_SWITCH)
class StateFixedUp(StateRulesEvent):
    """State that the source learnt after the staging is in force."""

    @property
    def ladder_text(self) -> str:
        """The number of rules."""
        return f"state fixed up ({self.rules} rules)"


@event("state.lost", ladder=LadderArrow.AT_SWITCH)
class StateLost(StateEvent):
    """Learnt state could not be read at the source, or not be installed."""

    reason: str | None

    @property
    def ladder_text(self) -> str:
        """The reason."""
        return _with("state lost", self.reason)


@event("statistics.extracted")
class CountersExtracted(VsiEvent):
    """The totals of a VSI as they were last read at the source.

    Attributes:
        from_vm, to_vm: packets and octets.
    """

    from_vm: dict[str, int]
    to_vm: dict[str, int]


# --- multicast ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class MembershipEvent(DetachedVsiEvent):
    """An event about a multicast membership of a VSI.

    Attributes:
        why: ``joined``, ``sources``, or the reason of the end.
    """

    vid: int
    group: IPv4Address | IPv6Address
    why: str


@event("multicast.joined")
class GroupJoined(MembershipEvent):
    """A VSI receives a group, or other sources of it."""


@event("multicast.left")
class GroupLeft(MembershipEvent):
    """A VSI does not receive a group any more."""
