"""The switches of a fabric as an explanation needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.pipeline.tables import CookieKind


class Port(NamedTuple):
    """A port by its OpenFlow number: datapath id and number."""

    dpid: int
    number: int


class PortView(NamedTuple):
    """A port of a switch.

    Attributes:
        role: as in evbridge.yaml.
        up: None: not known.
        peer: the port at the other end of a trunk's link.
    """

    name: str
    role: str
    up: bool | None = None
    peer: Port | None = None


@dataclass(slots=True)
class SwitchView:
    """One switch.

    Attributes:
        table: rules and groups; what the frames teach is written into it.
        ports: by number; links of bonds have the name of the bond.
        read: the rules were read from the switch; else the bridge wants them.
    """

    dpid: int
    name: str
    ports: Mapping[int, PortView]
    table: FlowTable
    read: bool = False

    @property
    def live(self) -> frozenset[int]:
        """The ports that are not down."""
        return frozenset(number for number, port in self.ports.items() if port.up is not False)


class PolicyPlace(NamedTuple):
    """A rule of an access control list, and its line in the policy file."""

    allow: bool
    line: int


@dataclass(frozen=True, slots=True)
class AclView:
    """One direction of a policy; ``implied`` are the rules behind those of the file."""

    rules: tuple[PolicyPlace, ...] = ()
    implied: tuple[PolicyPlace, ...] = ()
    default: bool = False


@dataclass(frozen=True, slots=True)
class TypeView:
    """A VSI type: ``type`` is ID/version, ``file`` the file or URL of its policy."""

    type: str
    name: str
    file: str
    from_vm: AclView = AclView()
    to_vm: AclView = AclView()


@dataclass(slots=True)
class Owners:
    """Owners of rules.

    Attributes:
        vsis: kind and owner of a cookie -> texts of the VSIs that need its rules.
        types: policy epoch -> VSI type.
        names: text of a VSI -> name of the VM, if it is known.
    """

    vsis: dict[tuple[CookieKind, int], tuple[str, ...]] = field(default_factory=dict)
    types: dict[int, TypeView] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
