"""Section ``tcp_proxy`` of a policy file, and its contradictions to the rest of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema

from ryu_apps.evb.policy.diagnostic import Diagnostic, error
from ryu_apps.evb.policy.document import Document
from ryu_apps.evb.policy.fields import Alternatives, Masked, full_mask, parse_field
from ryu_apps.evb.policy.model import Acl, Trigger, VsiType
from ryu_apps.evb.policy.rule_kinds import IPV4, IPV6, TCP
from ryu_apps.evb.policy.schema import TriggerText
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.policy.validate import Strict, Timeout

NAME = "tcp_proxy"

#: OpenFlow's timeouts are 16 bits of seconds.
#: A TCP port as rules have it: a number, a name or a range.
ProxiedPort = Annotated[
    Alternatives,
    PlainValidator(lambda written: parse_field("tcp_dst", written)),
    WithJsonSchema({"type": ["string", "integer"]}),
]


class ProxyTimeouts(Strict):
    """Seconds without a frame after which it is forgotten which proxy has a connection."""

    opening: Timeout = 10
    idle: Timeout = 3600
    closing: Timeout = 120


class ProxySection(Strict):
    """Ports of the VM that are redirected to a proxy."""

    ports: Annotated[list[ProxiedPort], Field(min_length=1, max_length=64)]
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 512
    timeouts: ProxyTimeouts = ProxyTimeouts()
    trigger: TriggerText | None = None


@dataclass(frozen=True, slots=True)
class Proxied:
    """The proxy of a VSI type.

    Attributes:
        ports: of the VM.
        max_connections: those that one VSI may have at a time.
        opening, idle, closing: seconds without a frame until one is forgotten: before its client has answered the
            proxy, from then on, and after a FIN or RST.
        trigger: None: as the type has it.
    """

    ports: Alternatives
    max_connections: int
    opening: int
    idle: int
    closing: int
    trigger: Trigger | None = None


def _resolve(section: ProxySection, document: Document) -> Proxied:
    return Proxied(
        tuple(dict.fromkeys(block for port in section.ports for block in port)),
        section.max_connections,
        section.timeouts.opening,
        section.timeouts.idle,
        section.timeouts.closing,
        Trigger(section.trigger) if section.trigger else None,
    )


def _meaning(value: Proxied) -> object:
    times = value.opening, value.idle, value.closing
    return value.ports, value.max_connections, times, value.trigger and value.trigger.value


# --- contradictions -------------------------------------------------------------------------------
def _mistakes(vsi_type: VsiType, value: Proxied, document: Document) -> Iterator[Diagnostic]:
    written = document.data[NAME]["ports"]
    for index, port in enumerate(written):
        place = document.value_place((NAME, "ports", index))
        for acl, name, field, why in _judges(vsi_type):
            if not any(_may_pass(acl, field, block) for block in parse_field("tcp_dst", port)):
                yield error(document.file, place, f"port {port} {why}: {name} lets no such TCP pass")


def _judges(vsi_type: VsiType) -> Iterator[tuple[Acl, str, str, str]]:
    """Lists that must permit a proxied connection: the list, its name, the field with the VM's port, the failure."""
    yield vsi_type.to_vm, "to_vm", "tcp_dst", "is redirected to a proxy, but no client may reach it"
    yield vsi_type.from_vm, "from_vm", "tcp_src", "is redirected to a proxy, but the VM may not answer"
    # A connection needs no second permission for its answers there.
    firewall = vsi_type.service("firewall")
    if firewall is not None:
        yield firewall.to_vm, "firewall.to_vm", "tcp_dst", "is redirected to a proxy, but no client may reach it"


def _may_pass(acl: Acl, field: str, port: Masked) -> bool:
    """True if the list lets any TCP with this port pass, over either version of IP."""
    return any(_passes(acl, _tcp(eth_type) | {field: port}) for eth_type in (IPV4, IPV6))


def _tcp(eth_type: int) -> dict[str, Masked]:
    return {"eth_type": Masked(eth_type, full_mask("eth_type")), "ip_proto": Masked(TCP, full_mask("ip_proto"))}


def _passes(acl: Acl, kind: dict[str, Masked]) -> bool:
    """True if a frame of a kind may pass; denials of parts that together cover the kind are not recognized."""
    for rule in acl.rules:
        if all(any(_meet(masked, kind[name]) for masked in test) for name, test in rule.tests if name in kind):
            if rule.allow:
                return True
            if all(name in kind and any(masked.covers(kind[name]) for masked in test) for name, test in rule.tests):
                return False
    return acl.default


def _meet(one: Masked, other: Masked) -> bool:
    return one.value & other.mask == other.value & one.mask


SECTION = Section(NAME, ProxySection, _resolve, _meaning, _mistakes)
