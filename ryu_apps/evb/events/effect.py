"""Effects: changes, reads, frames and records, as the engine asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.events.switch import ControllerRole
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import Match
from ryu_apps.evb.flow.rule import CookieMask
from ryu_apps.evb.flow.rule_parts import RulePart
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.offer import HttpSource, Validators
from ryu_apps.evb.topology.port_id import PortId


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
    """Read all rules under a cookie mask, then feed :class:`RulesRead`; for all of evbridge, :class:`SwitchRead`.

    Attributes:
        table: None: of all tables.
        match: only rules that match on these fields too, and perhaps on others.
        lane: the read has its place among the changes of a lane (:class:`Apply`), and its answer comes in portions,
            before each of which all other work is done; None: it is sent at once, and the answer is whole.
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
