"""Events that go into the engine, and effects that come out of it: its whole interface to the outside.

``effects = engine.feed(event, now)``: an event is something that happened, an effect is something to do.
``now`` is a monotonic time in seconds as a float.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.features import SwitchFeatures
from ryu_apps.evb.flow.match import Match
from ryu_apps.evb.flow.rule import (
    CookieMask,
    Meter,
    MeterCount,
    Rule,
)
from ryu_apps.evb.flow.rule_parts import RulePart
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pods.state_document import VsiState
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.policy.offer import HttpSource, Offer, Validators
from ryu_apps.evb.topology.fabric import PortId


# --- events -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class SwitchCapacity:
    """Limits of a switch according to its multipart replies; what is missing or None is not known.

    Attributes:
        tables: table number -> the most rules (table features).
        meters: the most meters (meter features).
        groups: the most groups (group features).
        speeds: port number -> current speed in kbit/s (port description).
    """

    tables: Mapping[int, int] = field(default_factory=dict)
    meters: int | None = None
    groups: int | None = None
    speeds: Mapping[int, int] = field(default_factory=dict)

    @property
    def rules(self) -> int | None:
        """The rules of the largest table; None: not known."""
        return max(self.tables.values(), default=None)


class ControllerRole(Enum):
    """Role of a controller at a switch, or NOCHANGE in a request (``ofp_controller_role``)."""

    NOCHANGE = 0
    EQUAL = 1
    MASTER = 2
    SLAVE = 3


@dataclass(frozen=True, slots=True)
class ChannelUp:
    """A switch finished its handshake; it has granted no role yet.

    Attributes:
        kept: it finished it earlier, and has been connected since, with another engine of this process.
    """

    dpid: int
    kept: bool = False


@dataclass(frozen=True, slots=True)
class RoleShown:
    """Answer to :class:`RequestRole`.

    Attributes:
        role: of this connection, from now on.
        generation: the newest that the switch has been told; None: it has been told none.
    """

    dpid: int
    role: ControllerRole
    generation: int | None


@dataclass(frozen=True, slots=True)
class RoleRefused:
    """The switch refuses a :class:`RequestRole`.

    Attributes:
        stale: it knows a newer generation (``OFPRRFC_STALE``); False: it does not know roles.
        reason: for operators: the OpenFlow error type and code.
    """

    dpid: int
    stale: bool
    reason: str


@dataclass(frozen=True, slots=True)
class RoleLost:
    """The switch has made this connection a SLAVE: it says so, or refuses a message that only others may send."""

    dpid: int


@dataclass(frozen=True, slots=True)
class SwitchUp:
    """Answer to :class:`Survey`: what a switch is and has.

    Attributes:
        dpid: datapath id.
        ports: port number -> link is up.
        capacity: what it can hold, according to its features.
        meters: ids of those that it has, None if it reports none.
        relaying: ports at which it does reflective relay.
        watched: it reports changes of its rules by other controllers or by commands (flow monitor).
        features: features of a switch without extensions, as it reports them.
        live: ports that it uses in groups, as in :class:`PortChanged`.
        names: port number -> name.
        unproven: the reason for which its gates must not open by meters, if that was to be proven; None: it was
            proven, or was not asked for.
    """

    dpid: int
    ports: dict[int, bool]
    capacity: SwitchCapacity = SwitchCapacity()
    meters: frozenset[int] | None = None
    relaying: frozenset[int] = frozenset()
    watched: bool = True
    features: SwitchFeatures = SwitchFeatures()
    live: frozenset[int] = frozenset()
    names: Mapping[int, str] = field(default_factory=dict)
    unproven: str | None = None


@dataclass(frozen=True, slots=True)
class SwitchDown:
    """The OpenFlow channel of a switch is gone; unconfirmed changes may or may not be in force."""

    dpid: int


@dataclass(frozen=True, slots=True)
class SwitchAltered:
    """Another controller or a command has deleted or altered rules, groups or meters of a switch.

    Attributes:
        meters: ids of those that it has now.
        certain: rules of evbridge are gone or altered; False: only a comparison can tell.
    """

    dpid: int
    meters: frozenset[int]
    certain: bool


@dataclass(frozen=True, slots=True)
class PortChanged:
    """A port appeared, disappeared (``up`` is False) or changed its state.

    Attributes:
        up: its link is up.
        live: the switch uses it in groups (``OFPPS_LIVE``); with LACP, it has an agreement there.
        name: its name; empty: it has disappeared.
    """

    port: PortId
    up: bool
    live: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """A frame that a switch sent to the controller: whole, from the destination address on."""

    port: PortId
    data: bytes


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The switch has carried out a change (and shows it, where a read-back was asked for)."""

    dpid: int
    token: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The switch refused a change, lost it, or shows something else.

    Attributes:
        dpid, token: which change.
        reason: for operators: the rule, the OpenFlow error type and code.
        full: the switch has no room (table full).
    """

    dpid: int
    token: int
    reason: str
    full: bool = False


@dataclass(frozen=True, slots=True)
class RulesRead:
    """Answer to :class:`ReadRules`: the rules as the switch shows them.

    A rule that this version cannot express is shown without instructions, so that it differs from every desired rule.

    Attributes:
        meters: all meters of the switch; None: the read was of some rules only, or the switch refuses to show them.
        more: further rules follow with the same token.
        omitted: the switch has more rules than the read permits, and was asked for none.
    """

    dpid: int
    token: int
    rules: tuple[Rule, ...]
    meters: tuple[Meter, ...] | None = None
    more: bool = False
    omitted: bool = False


@dataclass(frozen=True, slots=True)
class FragmentsHandled:
    """Handling of IP fragments by a switch; comes before the answer to a :class:`ReadRules` for all rules.

    Attributes:
        before: the switch showed the ports of first fragments (``OFPC_FRAG_NX_MATCH``) when it was asked; without
            extensions, it dropped fragments (``OFPC_FRAG_DROP``).
        shown: it does so now; if it did not, it has been configured to.
    """

    dpid: int
    before: bool
    shown: bool


@dataclass(frozen=True, slots=True)
class MetersRead:
    """Answer to :class:`ReadMeters`: those of the meters asked for that exist."""

    dpid: int
    token: int
    counts: tuple[MeterCount, ...]


@dataclass(frozen=True, slots=True)
class Saved:
    """The store holds what :class:`Save` asked for."""

    token: int


@dataclass(frozen=True, slots=True)
class NotSaved:
    """The store refused (disk full, read-only, gone); ``reason`` is for operators."""

    token: int
    reason: str


@dataclass(frozen=True, slots=True)
class OperatorDeassociate:
    """An operator takes a VSI off the network; ``vsi`` is its canonical text form."""

    vsi: str


@dataclass(frozen=True, slots=True)
class StatisticsWanted:
    """A client asks for the present counters; ``vsi`` is canonical text, None is all of them."""

    vsi: str | None = None


@dataclass(frozen=True, slots=True)
class StatisticsPopulated:
    """The NMS populates the counters of a VSI with those of its earlier ports.

    Attributes:
        from_vm, to_vm: packets and octets.
    """

    vsi: str
    from_vm: tuple[int, int]
    to_vm: tuple[int, int]


@dataclass(frozen=True, slots=True)
class BackendJudged:
    """A health check or an operator sets the state of a back end of a load balancer; None leaves a value as it is.

    Attributes:
        balancer, backend: names of the configuration.
        up: it may get new connections; those that it has stay with it in either case.
        weight: its share of them, 1..255.
    """

    balancer: str
    backend: str
    up: bool | None = None
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class PoliciesLoaded:
    """The operator loads other policies; they replace the present ones whole or not at all."""

    policies: PolicySet


@dataclass(frozen=True, slots=True)
class TypeFetched:
    """Answer to :class:`FetchType`: the document of a VSI manager, or the reason why there is none."""

    token: int
    offer: Offer


@dataclass(frozen=True, slots=True)
class VsiCleared:
    """The answer to :class:`ClaimVsi`.

    Attributes:
        refusal: why the Associate is refused; None: its gate may open.
        pod: the one that had the VSI, or has it; empty: none, or this one.
        taken: that pod was not reached, and the operator's rule is to take the VSI.
    """

    token: int
    refusal: str | None = None
    pod: str = ""
    taken: bool = False


@dataclass(frozen=True, slots=True)
class StateFetched:
    """The answer to :class:`FetchState`.

    Attributes:
        state: None: there is none, or it cannot be had.
        owner: generation of the owner of the VSI in the directory; 0: it has none; None: it is not known.
        failure: why the state of a VSI that another pod has is not there.
    """

    token: int
    state: VsiState | None = None
    owner: int | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class StateWanted:
    """Another pod, or an NMS, asks for the state of a VSI."""

    vsi: str


@dataclass(frozen=True, slots=True)
class StateGiven:
    """An NMS brings the state of a VSI that is reserved here, in the place of what it has brought before."""

    state: VsiState


@dataclass(frozen=True, slots=True)
class HandOver:
    """Another pod has a VSI from now on: it is taken off every port where it is active, or about to be."""

    vsi: str
    pod: str


@dataclass(frozen=True, slots=True)
class Missed:
    """The bridge read no frames for ``seconds``, because its process was stopped or busy."""

    seconds: float


@dataclass(frozen=True, slots=True)
class FramesDropped:
    """Frames of a port were dropped unread because more came than the port may send."""

    port: PortId
    frames: int


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """``engine.deadline`` has been reached; ``unread`` are ports with frames that have arrived and wait."""

    unread: frozenset[PortId] = frozenset()


Event = (
    ChannelUp
    | RoleShown
    | RoleRefused
    | RoleLost
    | SwitchUp
    | SwitchDown
    | SwitchAltered
    | PortChanged
    | FrameReceived
    | Confirmed
    | Rejected
    | RulesRead
    | FragmentsHandled
    | MetersRead
    | Saved
    | NotSaved
    | OperatorDeassociate
    | StatisticsWanted
    | StatisticsPopulated
    | BackendJudged
    | PoliciesLoaded
    | TypeFetched
    | VsiCleared
    | StateFetched
    | StateWanted
    | StateGiven
    | HandOver
    | Missed
    | FramesDropped
    | TimerExpired
)


# --- effects ------------------------------------------------------------------------------------
class Mode(Enum):
    """Method of a change, and the reply of the switch that completes it."""

    BULK = "bulk"
    """In small batches with a barrier at the end; gates of other VSIs are switched between two batches."""
    STAGE = "stage"
    """As BULK, then read back by cookie and compared rule by rule."""
    ATOMIC = "atomic"
    """One ordered, atomic bundle; done when the switch has answered the commit."""


@dataclass(frozen=True, slots=True)
class RequestRole:
    """Ask a switch for a role, then feed :class:`RoleShown` or :class:`RoleRefused`.

    Attributes:
        generation: of this bridge, or the newest that is known; without effect for NOCHANGE.
    """

    dpid: int
    role: ControllerRole
    generation: int


@dataclass(frozen=True, slots=True)
class Survey:
    """Serve a switch from now on: ask what it is and has, then feed :class:`SwitchUp`.

    Attributes:
        proof: have it prove first that gates may open by meters.
    """

    dpid: int
    proof: bool = False


@dataclass(frozen=True, slots=True)
class StandAside:
    """Send a switch nothing any more but requests for a role; what is open is rejected, frames are not taken."""

    dpid: int


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Send one Ethernet frame out of a port (packet-out); a port of ``flow.actions.TABLES``: through the tables.

    Attributes:
        group: id of the group that chooses the port in place of ``port``; None: none.
    """

    port: PortId
    data: bytes
    group: int | None = None


#: All gates share a lane, since they share flood rules: what is sent later is in force later.
GATE_LANE = 0


@dataclass(frozen=True, slots=True)
class Apply:
    """Change a switch, then feed :class:`Confirmed` or :class:`Rejected` with the same token.

    Changes of one switch that share a ``lane`` are carried out in the order in which they were
    given; a change of another lane may overtake.  Token 0 gets no answer.
    """

    dpid: int
    token: int
    change: RuleChange
    mode: Mode
    lane: int = GATE_LANE


@dataclass(frozen=True, slots=True)
class Prepare:
    """Encode a change, and have the switch check it, for an :class:`Apply` of this very object that may follow.

    Nothing changes at the switch, and no answer follows.
    """

    dpid: int
    change: RuleChange


@dataclass(frozen=True, slots=True)
class Hasten:
    """Go on with the reads of this switch before those of others: a station waits for it."""

    dpid: int


@dataclass(frozen=True, slots=True)
class ReadRules:
    """Read all rules under a cookie mask, then feed :class:`RulesRead`.

    Attributes:
        table: None: of all tables.
        match: only rules that match on these fields too, and perhaps on others.
        lane: the read has its place among the changes of a lane (:class:`Apply`), and its answer comes in portions,
            before each of which all other work is done; None: it is sent at once, and the answer is whole, but for that
            to a read of all rules of evbridge.
        parts: the rules of a read in a lane, each in one part; empty: nothing is known of them.
        most: with more rules than that, none of a read in parts is shown.
        left_out: rules that need not be shown, of tables that have many, unless some have other than expected cookies.
        expected: those cookies.
    """

    dpid: int
    token: int
    mask: CookieMask
    table: int | None = None
    match: Match = ()
    lane: int | None = None
    parts: tuple[RulePart, ...] = ()
    most: int | None = None
    left_out: CookieMask | None = None
    expected: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EndRead:
    """End a read in portions, whose rules are not needed any more; no further answer follows."""

    dpid: int
    token: int


@dataclass(frozen=True, slots=True)
class ReadMeters:
    """Read the counters of some meters, or of all (``meters`` is empty), then feed :class:`MetersRead`."""

    dpid: int
    token: int
    meters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Save:
    """Write state that must outlive the controller, all or nothing, then feed Saved or NotSaved.

    Attributes:
        changes: key -> record; None deletes.
    """

    token: int
    changes: dict[str, bytes | None]


@dataclass(frozen=True, slots=True)
class FetchType:
    """Ask a VSI manager for one type, then feed :class:`TypeFetched` with the same token.

    Attributes:
        known: validators (RFC 9110) of the version that is cached; None: there is none.
    """

    token: int
    source: HttpSource
    key: VsiTypeKey
    known: Validators | None = None


@dataclass(frozen=True, slots=True)
class ClaimVsi:
    """Make this pod the owner of a VSI, and have the former one shut its gate, then feed :class:`VsiCleared`.

    Attributes:
        announced: generation of the owner to which the move was announced, 0: there was none, -1: not known; None: it
            was not announced.
        free_hand: no announcement is needed.
    """

    token: int
    vsi: str
    announced: int | None
    free_hand: bool


@dataclass(frozen=True, slots=True)
class CallOffClaim:
    """The Associate of a :class:`ClaimVsi` is not wanted any more; no answer follows."""

    token: int


@dataclass(frozen=True, slots=True)
class ReleaseClaim:
    """A VSI is not active any more at any port."""

    vsi: str


@dataclass(frozen=True, slots=True)
class FetchState:
    """Ask the pod that has a VSI, or had it last, for its state, then feed :class:`StateFetched`.

    Attributes:
        final: the gate there is shut.
    """

    token: int
    vsi: str
    final: bool


Effect = (
    RequestRole
    | Survey
    | StandAside
    | SendFrame
    | Apply
    | Prepare
    | Hasten
    | ReadRules
    | EndRead
    | ReadMeters
    | Save
    | FetchType
    | ClaimVsi
    | CallOffClaim
    | ReleaseClaim
    | FetchState
    | LogEvent
)
