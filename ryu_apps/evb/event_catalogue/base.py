"""Base of the log events, and the row of the catalogue that each class has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum
from inspect import cleandoc
from typing import ClassVar, NamedTuple, TypeVar, dataclass_transform, get_type_hints

from ryu_apps.evb.event_catalogue.values import JsonCodec, codec_of
from ryu_apps.evb.topology.port_id import PortId


class LogLevel(Enum):
    """Level of the log line of an event."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"


class LadderArrow(Enum):
    """Place of an event in the ladder diagram of a migration."""

    FROM_STATION = "from the station to the switch"
    TO_STATION = "from the switch to the station"
    AT_SWITCH = "within the switch"


class EventField(NamedTuple):
    """A member of the JSON object ``detail`` of an event.

    Attributes:
        optional: left out of the object if it is None.
    """

    name: str
    codec: JsonCodec
    optional: bool


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """The properties that all events of a class share.

    Attributes:
        kind: dotted name, ``vdp.request``; the name in logs, in REST and in the manual.
        level: level of its log line.
        idle: it changes nothing, and one port can cause any number of it; few per second are logged and kept.
        ladder: its place in a ladder; None: none.
        description: one sentence for the manual.
        fields: the members of ``detail``, in their order.
    """

    kind: str
    level: LogLevel
    idle: bool
    ladder: LadderArrow | None
    description: str
    fields: tuple[EventField, ...]


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An event for the log, ``/evb/events``, alarms, metrics and ladders.

    Attributes:
        row: the properties of its class.
    """

    row: ClassVar[CatalogueRow]

    @property
    def kind(self) -> str:
        """Dotted name, e.g. ``vdp.request``, ``flow.staged``, ``vsi.active``."""
        return self.row.kind

    @property
    def level(self) -> LogLevel:
        """Level of the log line."""
        return self.row.level

    @property
    def dpid(self) -> int | None:
        """Datapath id of the switch; None: it is not about one."""
        return None

    @property
    def port(self) -> PortId | None:
        """Port; None: it is not about one."""
        return None

    @property
    def vsi(self) -> str | None:
        """Canonical text of the VSIID; None: it is not about a VSI."""
        return None

    @property
    def detail(self) -> dict[str, object]:
        """JSON form of the fields, without switch, port and VSI."""
        return members_of(self)

    @property
    def ladder_text(self) -> str:
        """Words of its step in a ladder; empty if it is none."""
        return ""


def members_of(happened: LogEvent) -> dict[str, object]:
    """Return the JSON form of the fields of an event."""
    values = ((member, getattr(happened, member.name)) for member in happened.row.fields)
    return {
        member.name: member.codec.encode(value) for member, value in values if value is not None or not member.optional
    }


@dataclass(frozen=True, slots=True)
class SwitchEvent(LogEvent):
    """An event about a switch."""

    dpid: int = field()


@dataclass(frozen=True, slots=True)
class PortEvent(LogEvent):
    """An event about a port."""

    port: PortId = field()

    @property
    def dpid(self) -> int:
        """Datapath id of the switch that has the port."""
        return self.port.dpid


@dataclass(frozen=True, slots=True)
class VsiEvent(PortEvent):
    """An event about a VSI at a port."""

    vsi: str = field()


@dataclass(frozen=True, slots=True)
class DetachedVsiEvent(LogEvent):
    """An event about a VSI at a port, or at none any more."""

    port: PortId | None = field()
    vsi: str = field()

    @property
    def dpid(self) -> int | None:
        """Datapath id of the switch that has the port."""
        return None if self.port is None else self.port.dpid


@dataclass(frozen=True, slots=True)
class Repetitions(LogEvent):
    """Number of events of one class, about one port or switch, that were neither logged nor kept.

    Attributes:
        of: their class.
        repeated: their number.
    """

    of: type[LogEvent]
    repeated: int
    dpid: int | None = field(default=None)
    port: PortId | None = field(default=None)

    @property
    def kind(self) -> str:
        """That of the events."""
        return self.of.row.kind

    @property
    def level(self) -> LogLevel:
        """That of the events."""
        return self.of.row.level

    @property
    def detail(self) -> dict[str, object]:
        """Their number."""
        return {"repeated": self.repeated}


E = TypeVar("E", bound=LogEvent)
#: Fields that are no members of ``detail``: the subject of an event, and the event behind an alarm.
_SUBJECT = frozenset({"dpid", "port", "vsi", "cause"})
#: Metadata of a field that is left out of ``detail`` if it is None.
OPTIONAL = {"optional": True}


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def event(
    kind: str, level: LogLevel = LogLevel.INFO, idle: bool = False, ladder: LadderArrow | None = None
) -> Callable[[type[E]], type[E]]:
    """Make a class the events of a kind; its fields are those of a dataclass.

    The first paragraph of its docstring is its description in the manual.

    Raises:
        TypeError: a field has a type without a JSON form.
    """

    def entered(plain: type[E]) -> type[E]:
        made = dataclass(frozen=True, slots=True)(plain)
        hints = get_type_hints(made)
        members = tuple(
            EventField(member.name, codec_of(hints[member.name]), member.metadata == OPTIONAL)
            for member in fields(made)
            if member.name not in _SUBJECT
        )
        description = " ".join(cleandoc(made.__doc__ or "").split("\n\n")[0].split())
        made.row = CatalogueRow(kind, level, idle, ladder, description, members)
        return made

    return entered


def line(happened: LogEvent) -> str:
    """Return the log line of an event: kind, port or switch, VSI and details."""
    where = str(happened.port) if happened.port else "" if happened.dpid is None else f"{happened.dpid:016x}"
    subject = [where, f"vsi={happened.vsi}" if happened.vsi else ""]
    details = [f"{name}={value}" for name, value in happened.detail.items()]
    return " ".join([happened.kind, *filter(None, [*subject, *details])])
