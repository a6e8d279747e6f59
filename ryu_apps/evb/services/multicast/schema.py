"""Section ``multicast`` of a policy file, and the policy made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema

from ryu_apps.evb.flow.guarded import NetworkRole
from ryu_apps.evb.model import MulticastGroup, is_control
from ryu_apps.evb.policy.address_set import is_reference
from ryu_apps.evb.policy.diagnostic import Diagnostic, error
from ryu_apps.evb.policy.document import Document
from ryu_apps.evb.policy.model import Network, Trigger, VsiType
from ryu_apps.evb.policy.schema import AnyNetwork, TriggerText
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.policy.validate import Strict

NAME = "multicast"
_EVERY = IPv4Network("224.0.0.0/4"), IPv6Network("ff00::/8")


def _group(written: object) -> MulticastGroup:
    if is_reference(written):
        raise ValueError(f"the set {written} may stand in rules only")
    if not isinstance(written, str):
        raise ValueError("a multicast address was expected, such as 239.1.1.1")
    group = ip_address(written)
    if not group.is_multicast:
        raise ValueError(f"{group} is not a multicast address")
    if is_control(group):
        raise ValueError(f"{group} is a group of the link itself, which every VM receives without joining")
    return group


AnyGroup = Annotated[MulticastGroup, PlainValidator(_group), WithJsonSchema({"type": "string"})]


class MulticastSection(Strict):
    """Groups that a VM receives and may join."""

    groups: list[AnyGroup] = Field(default_factory=list)
    filter: list[AnyNetwork] | None = None
    max_groups: Annotated[int, Field(ge=1, le=1000)] = 16
    max_sources: Annotated[int, Field(ge=0, le=64)] = 8
    trigger: TriggerText | None = None


@dataclass(frozen=True, slots=True)
class MulticastPolicy:
    """Multicast of a VSI type.

    Attributes:
        groups: configured: every VSI receives them, joined or not.
        filter: networks whose groups may be joined.
        max_groups: groups that one VSI may receive, the configured ones included.
        max_sources: sources that it may name for one group; with more it receives all.
        trigger: None: as the type has it.  The bridge itself has the state, so both come to the same.
    """

    groups: tuple[MulticastGroup, ...] = ()
    filter: tuple[Network, ...] = _EVERY
    max_groups: int = 16
    max_sources: int = 8
    trigger: Trigger | None = None

    def allows(self, group: MulticastGroup) -> bool:
        """True if a VM may join a group."""
        return any(group in network for network in self.filter)


def _resolve(section: MulticastSection, document: Document) -> MulticastPolicy:
    return MulticastPolicy(
        tuple(dict.fromkeys(section.groups)),
        _EVERY if section.filter is None else tuple(dict.fromkeys(section.filter)),
        section.max_groups,
        section.max_sources,
        Trigger(section.trigger) if section.trigger else None,
    )


def _meaning(value: MulticastPolicy) -> object:
    texts = [str(item) for item in value.groups], [str(item) for item in value.filter]
    return *texts, value.max_groups, value.max_sources, value.trigger and value.trigger.value


def _mistakes(vsi_type: VsiType, value: MulticastPolicy, document: Document) -> Iterator[Diagnostic]:
    written: list[MulticastGroup] = [ip_address(str(text)) for text in document.data[NAME].get("groups") or ()]
    for index, group in enumerate(written):
        place = document.value_place((NAME, "groups", index))
        if not value.allows(group):
            yield error(document.file, place, f"{group} is outside the filter")
        if group in written[:index]:
            yield error(document.file, place, f"{group} is given twice")
    for index, network in enumerate(map(ip_network, document.data[NAME].get("filter") or ())):
        if not network.is_multicast:
            place = document.value_place((NAME, "filter", index))
            yield error(document.file, place, f"{network} is not a network of multicast addresses")
    if NetworkRole.QUERIER in vsi_type.roles:
        yield error(document.file, document.key_place((NAME,)), "a VM that is snooped cannot be a querier")
    if len(value.groups) > value.max_groups:
        place = document.key_place((NAME, "groups"))
        yield error(document.file, place, f"{len(value.groups)} groups, max_groups is {value.max_groups}")


SECTION = Section(NAME, MulticastSection, _resolve, _meaning, _mistakes)
