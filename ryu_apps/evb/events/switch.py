"""Events of switches: connections, roles, ports, frames, and answers to changes and reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.flow.features import SwitchFeatures
from ryu_apps.evb.flow.rule import Meter, MeterCount, Rule
from ryu_apps.evb.flow.shown import ShownRules
from ryu_apps.evb.topology.port_id import PortId


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
        kept: it finished it earlier, and has been connected ever since another engine of this process has served it
            with the VSIs of the records, or has followed who does.
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
        more: further rules follow with the same token.
        omitted: the switch has more rules than the read permits, and was asked for none.
    """

    dpid: int
    token: int
    rules: tuple[Rule, ...]
    more: bool = False
    omitted: bool = False


@dataclass(frozen=True, slots=True)
class SwitchRead:
    """Answer to :class:`ReadRules` for all rules: what a switch holds, as it shows it.

    Attributes:
        shown: its rules; the receiver may take them out.
        meters: all its meters; None: it refuses to show them.
    """

    dpid: int
    token: int
    shown: ShownRules
    meters: tuple[Meter, ...] | None = None


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
class FramesDropped:
    """Frames of a port were dropped unread because more came than the port may send."""

    port: PortId
    frames: int
