"""Section ``appliance`` of a policy file, and the policy made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from ryu_apps.evb.policy.diagnostic import Diagnostic, error
from ryu_apps.evb.policy.document import Document
from ryu_apps.evb.policy.fields import Alternatives, parse_field
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.rule_kinds import TCP, UDP
from ryu_apps.evb.policy.schema import AnyNetwork
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.policy.validate import Strict

NAME = "appliance"
#: Entries of one type's traffic.
MAX_TRAFFIC = 64
#: Services whose rewriting of addresses the way through an appliance would go round.
_EXCLUDED = ("load_balancer", "tcp_proxy")

ApplianceName = Annotated[str, Field(min_length=1, max_length=64)]


def _listed(written: object) -> object:
    return written if isinstance(written, list) else [written]


_JSON = WithJsonSchema({"type": ["string", "integer", "array"]})
Ports = Annotated[Alternatives, PlainValidator(lambda written: parse_field("tcp_dst", written)), _JSON]
Protocols = Annotated[Alternatives, PlainValidator(lambda written: parse_field("ip_proto", written)), _JSON]


class TrafficEntry(Strict):
    """Some traffic of the VM: all that matches each of these."""

    peer: Annotated[list[AnyNetwork], Field(max_length=64), BeforeValidator(_listed)] = Field(default_factory=list)
    protocol: Protocols | None = None
    port: Ports | None = None
    peer_port: Ports | None = None

    @model_validator(mode="after")
    def _ports_have_a_protocol(self) -> TrafficEntry:
        protocols = {masked.value for masked in self.protocol or ()}
        if (self.port or self.peer_port) and not (protocols and protocols <= {TCP, UDP}):
            raise ValueError("port and peer_port need protocol: tcp or udp")
        return self


class ApplianceSection(Strict):
    """The appliance through which traffic goes, or the one of which the VM is an instance."""

    through: ApplianceName | None = None
    traffic: Annotated[list[TrafficEntry], Field(min_length=1, max_length=MAX_TRAFFIC)] | None = None
    on_failure: Literal["block", "pass"] | None = None
    instance_of: ApplianceName | None = None

    @model_validator(mode="after")
    def _one_side(self) -> ApplianceSection:
        if (self.through is None) is (self.instance_of is None):
            raise ValueError("either through or instance_of was expected")
        if self.instance_of is not None and (self.traffic is not None or self.on_failure is not None):
            raise ValueError("traffic and on_failure belong to through")
        return self


@dataclass(frozen=True, slots=True)
class Traffic:
    """Some traffic, as seen by the VM.

    Attributes:
        peers: networks of the other end: IP version, address and mask; empty: any.
        protocols, ports, peer_ports: alternatives; empty: any.  The ports are of the VM and of the other end.
    """

    peers: tuple[tuple[int, int, int], ...] = ()
    protocols: Alternatives = ()
    ports: Alternatives = ()
    peer_ports: Alternatives = ()


@dataclass(frozen=True, slots=True)
class AppliancePolicy:
    """The appliance of a VSI type.

    Attributes:
        through: the appliance through which traffic of its VMs goes; empty: its VMs are instances.
        traffic: this traffic; any of the entries.
        passes: without an instance traffic passes; False: it is blocked.
        instance_of: the appliance of which its VMs are instances.
    """

    through: str = ""
    traffic: tuple[Traffic, ...] = ()
    passes: bool = False
    instance_of: str = ""


def _resolve(section: ApplianceSection, document: Document) -> AppliancePolicy:
    if section.instance_of is not None:
        return AppliancePolicy(instance_of=section.instance_of)
    traffic = tuple(map(_traffic, section.traffic or [TrafficEntry()]))
    return AppliancePolicy(section.through or "", traffic, section.on_failure == "pass")


def _traffic(entry: TrafficEntry) -> Traffic:
    peers = tuple((net.version, int(net.network_address), int(net.netmask)) for net in entry.peer)
    return Traffic(peers, entry.protocol or (), entry.port or (), entry.peer_port or ())


def _meaning(value: AppliancePolicy) -> object:
    return astuple(value)


def _mistakes(vsi_type: VsiType, value: AppliancePolicy, document: Document) -> Iterator[Diagnostic]:
    for name in _EXCLUDED if value.through else ():
        if vsi_type.service(name) is not None:
            place = document.key_place((NAME, "through"))
            yield error(document.file, place, f"a type with {name} cannot send traffic through an appliance")


SECTION = Section(NAME, ApplianceSection, _resolve, _meaning, _mistakes)
