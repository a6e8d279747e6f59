"""Events about the bridge as a whole: its store, VSI types, connections, load balancers and alarms."""

from __future__ import annotations

from dataclasses import dataclass, field

from ryu_apps.evb.event_catalogue.base import LogEvent, LogLevel, event, members_of
from ryu_apps.evb.event_catalogue.values import AlarmSeverity
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.topology.port_id import PortId


# --- the process and its store --------------------------------------------------------------------
@event("store.failed")
class StoreFailed(LogEvent):
    """The store has not saved a record."""

    reason: str


@event("store.works")
class StoreWorks(LogEvent):
    """The store saves records again."""


@event("bridge.missed")
class FramesMissed(LogEvent):
    """The controller was stopped or overloaded and received no frames for so many seconds."""

    seconds: float


@event("descriptors.short")
class DescriptorsShort(LogEvent):
    """More connections than the server admits.

    Attributes:
        server: ``openflow`` or ``rest``.
        address: peer whose connection was ended or refused.
        times: number of such connections since the last event.
    """

    server: str
    address: str
    reason: str
    times: int


# --- REST -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class RestEvent(LogEvent):
    """An event about a request to REST.

    Attributes:
        caller: name of its token; ``-``: none.
        address: of the client.
    """

    caller: str
    address: str
    method: str
    path: str
    status: int


@event("rest.changed")
class RestChanged(RestEvent):
    """A client has sent a request that changes something; ``status`` is that of the answer."""


@event("rest.refused", idle=True)
class RestRefused(RestEvent):
    """A client has sent no token, an unknown one, or one of another role."""


# --- evbridge.yaml --------------------------------------------------------------------------------
@event("config.loaded")
class ConfigurationInForce(LogEvent):
    """evbridge.yaml was read again, and is in force.

    Attributes:
        switches: number of switches.
        ports: number of ports with a number.
    """

    switches: int
    ports: int


@event("config.refused")
class ConfigurationRefused(LogEvent):
    """evbridge.yaml was read again, and has mistakes or changes that the running bridge cannot take; the old one stays.

    Attributes:
        mistakes: one line each, with file and place.
    """

    mistakes: list[str]


# --- VSI types ------------------------------------------------------------------------------------
@event("policies.loaded")
class PoliciesInForce(LogEvent):
    """The policies of the local directory are in force.

    Attributes:
        types: number of VSI types.
    """

    types: int


@event("policies.refused")
class PoliciesRefused(LogEvent):
    """The policies of the local directory have mistakes, or change a type in use; older ones stay in force.

    Attributes:
        mistakes: one line each, with file and place.
    """

    mistakes: list[str]


@dataclass(frozen=True, slots=True)
class VsiTypeEvent(LogEvent):
    """An event about a VSI type of a VSI manager.

    Attributes:
        type: the VSI type.
        url: address of its document.
    """

    type: VsiTypeKey
    url: str


@event("vsitype.fetched")
class VsiTypeFetched(VsiTypeEvent):
    """A VSI manager has sent a VSI type."""


@event("vsitype.faulty")
class VsiTypeFaulty(VsiTypeEvent):
    """A VSI manager serves an invalid VSI type."""

    mistakes: list[str]


@event("vsitype.refused")
class VsiTypeWithdrawn(VsiTypeEvent):
    """A VSI manager has withdrawn or changed a VSI type that is in use; the type stays in force."""

    reason: str


@event("vsitype.unreachable")
class VsiManagerUnreachable(VsiTypeEvent):
    """A VSI manager does not answer.

    Attributes:
        stale: the cached VSI type is used.
    """

    reason: str
    stale: bool


# --- records that cannot be restored --------------------------------------------------------------
@event("vsi.not_restored", level=LogLevel.WARNING)
class VsiNotRestored(LogEvent):
    """The record of a VSI cannot be used after a restart of the controller.

    Attributes:
        record: its key.
    """

    record: str
    reason: str


@event("vsitype.not_restored", level=LogLevel.WARNING)
class VsiTypeNotRestored(LogEvent):
    """The record of a VSI type cannot be used after a restart of the controller.

    Attributes:
        record: its key.
    """

    record: str
    reason: str


@event("statistics.not_restored", level=LogLevel.WARNING)
class CountersNotRestored(LogEvent):
    """The record of counters cannot be used after a restart of the controller.

    Attributes:
        record: its key.
    """

    record: str
    reason: str


# --- load balancers -------------------------------------------------------------------------------
@event("balancer.backend")
class BackendChanged(LogEvent):
    """A health check or an operator has set the state of a back end.

    Attributes:
        vsi: canonical text of its active VSI; None: there is none.
        weight: share of new connections, 1..255.
        in_rotation: it gets new connections.
    """

    vsi: str | None = field()
    balancer: str
    backend: str
    up: bool
    weight: int
    in_rotation: bool


# --- appliances -----------------------------------------------------------------------------------
@event("appliance.instance")
class ApplianceInstanceChanged(LogEvent):
    """An instance of an appliance gets traffic, or gets none any more.

    Attributes:
        port: of its station, or the host port at which it is.
        vsi: canonical text of its VSI; None: it is at a host port.
        in_use: it gets traffic: its VSI is active or it is at a host port, and the link of its port is up.
        left: number of instances of the appliance in use; at 0 the traffic is blocked or passes, as each type says.
    """

    port: PortId = field()
    vsi: str | None = field()
    appliance: str
    instance: str
    in_use: bool
    left: int


@dataclass(frozen=True, slots=True)
class ProbeEvent(LogEvent):
    """An event about probes of an instance of an appliance."""

    appliance: str
    instance: str


@event("appliance.silent")
class ApplianceSilent(ProbeEvent):
    """An instance has not answered a number of probes one after the other, and gets no traffic."""


@event("appliance.answers")
class ApplianceAnswers(ProbeEvent):
    """A silent instance answers again, or is gone."""


# --- alarms ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class AlarmEvent(LogEvent):
    """The beginning or the end of an alarm.

    Attributes:
        dpid, port, vsi: subject of the alarm, as far as it has one.
        cause: the last event of its cause.
        alarm: kind of its cause; also the name of the alarm.
        words: description for operators.
    """

    dpid: int | None = field()
    port: PortId | None = field()
    vsi: str | None = field()
    cause: LogEvent
    alarm: str
    severity: AlarmSeverity
    words: str

    @property
    def detail(self) -> dict[str, object]:
        """JSON form of the fields, and the details of the cause."""
        return members_of(self) | self.cause.detail


@event("alarm.raised", level=LogLevel.WARNING)
class AlarmRaised(AlarmEvent):
    """An alarm begins; the details of its cause follow."""


@event("alarm.cleared", level=LogLevel.WARNING)
class AlarmCleared(AlarmEvent):
    """An alarm ends; the details of its last cause follow.

    Attributes:
        lasted: seconds since its cause began.
        count: number of events of its cause.
    """

    lasted: float
    count: int
