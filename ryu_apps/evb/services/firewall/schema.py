"""Section ``firewall`` of a policy file, and the policy made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Annotated

from pydantic import Field

from ryu_apps.evb.policy.diagnostic import Diagnostic, error
from ryu_apps.evb.policy.document import Document
from ryu_apps.evb.policy.lint import lint_acl
from ryu_apps.evb.policy.model import Acl, Trigger, VsiType
from ryu_apps.evb.policy.schema import DirectionSection, TriggerText, resolve_rules
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.policy.set_section import undefined_sets
from ryu_apps.evb.policy.validate import Strict, Timeout

#: OpenFlow's timeouts are 16 bits of seconds.

NAME = "firewall"
#: Flow rules that the rules of one direction may come to.
MAX_FLOW_RULES = 65_536
#: Rules of one direction: each takes a priority of its own.
MAX_RULES = 50_000


class FirewallTimeouts(Strict):
    """Seconds without a frame after which a connection is forgotten."""

    tcp: Timeout = 3600
    tcp_opening: Timeout = 10
    tcp_closing: Timeout = 120
    udp: Timeout = 60
    icmp: Timeout = 30


class FirewallSection(Strict):
    """Rules for new connections; frames of established ones pass."""

    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 512
    timeouts: FirewallTimeouts = FirewallTimeouts()
    trigger: TriggerText | None = None
    from_vm: DirectionSection = DirectionSection(default="allow")
    to_vm: DirectionSection = DirectionSection()


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds without a frame: TCP, TCP after a FIN or RST, UDP, ICMP echo; TCP before anyone acknowledges."""

    tcp: int
    tcp_closing: int
    udp: int
    icmp: int
    tcp_opening: int = 10


@dataclass(frozen=True, slots=True)
class FirewallPolicy:
    """The firewall of a VSI type.

    Attributes:
        from_vm, to_vm: rules for new connections; their implied rules are the firewall's own.
        max_connections: those that one VSI may have at a time.
        lifetimes: their idle timeouts.
        trigger: None: as the type has it.
    """

    from_vm: Acl
    to_vm: Acl
    max_connections: int
    lifetimes: Lifetimes
    trigger: Trigger | None = None


def _resolve(section: FirewallSection, document: Document) -> FirewallPolicy:
    times = section.timeouts
    return FirewallPolicy(
        _acl(section.from_vm, "from_vm", document),
        _acl(section.to_vm, "to_vm", document),
        section.max_connections,
        Lifetimes(times.tcp, times.tcp_closing, times.udp, times.icmp, times.tcp_opening),
        Trigger(section.trigger) if section.trigger else None,
    )


def _acl(direction: DirectionSection, name: str, document: Document) -> Acl:
    return Acl(resolve_rules(direction, (NAME, name), document), default=direction.default == "allow")


def _meaning(value: FirewallPolicy) -> object:
    trigger = value.trigger and value.trigger.value
    return value.from_vm.meaning, value.to_vm.meaning, value.max_connections, astuple(value.lifetimes), trigger


def _mistakes(vsi_type: VsiType, value: FirewallPolicy, document: Document) -> Iterator[Diagnostic]:
    for name, acl in (("from_vm", value.from_vm), ("to_vm", value.to_vm)):
        yield from undefined_sets(vsi_type, acl, (NAME, name), document)
        place = document.key_place((NAME, name, "rules"))
        if len(acl.rules) > MAX_RULES:
            yield error(document.file, place, f"{len(acl.rules)} rules, at most {MAX_RULES} fit into a table")
        elif sum(rule.size for rule in acl.rules) > MAX_FLOW_RULES:
            yield error(document.file, place, f"{NAME}.{name} comes to more than {MAX_FLOW_RULES} flow rules")
        else:
            yield from lint_acl(vsi_type, acl, from_vm=name == "from_vm")


SECTION = Section(NAME, FirewallSection, _resolve, _meaning, _mistakes, replaces_acl_default=True)
