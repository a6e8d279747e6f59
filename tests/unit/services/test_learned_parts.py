"""Learned state is read in parts: whatever a switch learns for a VSI is in one part, and has the bits that cut it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ryu_apps.evb.flow.actions import Learn
from ryu_apps.evb.flow.match import FIELD_SIZES
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiBinding, VsiTypeKey
from ryu_apps.evb.policy.fields import Masked
from ryu_apps.evb.policy.model import Acl
from ryu_apps.evb.services.base import Service
from ryu_apps.evb.services.body import body_of_vsi, state_parts
from ryu_apps.evb.services.firewall.schema import FirewallPolicy, Lifetimes
from ryu_apps.evb.services.firewall.service import FIREWALL
from ryu_apps.evb.services.load_balancer.schema import Balanced
from ryu_apps.evb.services.load_balancer.service import LOAD_BALANCER
from ryu_apps.evb.services.tcp_proxy.schema import Proxied
from ryu_apps.evb.services.tcp_proxy.service import TCP_PROXY
from tests.worlds.bridge import open_type

SECTIONS: dict[Service, object] = {
    FIREWALL: FirewallPolicy(Acl(default=True), Acl(default=True), 10, Lifetimes(60, 20, 60, 60)),
    TCP_PROXY: Proxied((Masked(80, 0xFFFF),), 10, 10, 60, 20),
    LOAD_BALANCER: Balanced((), 10, 10, 60, 20, 60),
}


def learns_of(service: Service) -> Iterator[Learn]:
    """The learn actions into the table of a service, one for each protocol, direction and stage."""
    assert service.learned is not None
    vsi_type = replace(open_type(VsiTypeKey(30, 1)), services=((service.name, SECTIONS[service]),))
    rules: tuple[Rule, ...] = body_of_vsi(vsi_type, VsiBinding(5, 1, ()))
    assert state_parts(vsi_type) == service.learned.parts
    for rule in rules:
        for action in rule.apply:
            if isinstance(action, Learn) and action.table == service.learned.table:
                yield action


@pytest.mark.parametrize("service", SECTIONS, ids=lambda service: service.name)
def test_each_rule_that_is_learned_is_in_one_part_and_can_be_cut(service: Service) -> None:
    assert service.learned is not None
    actions = list(learns_of(service))
    met = set()
    for action in actions:
        constants = {spec.target.name: spec.source for spec in action.match if isinstance(spec.source, int)}
        matched = {
            (spec.target.name, bit)
            for spec in action.match
            for bit in range(spec.target.offset, spec.target.offset + spec.target.width)
        }
        (part,) = (
            part
            for part in service.learned.parts
            if all(constants.get(name) == value and mask is None for name, value, mask in part.match)
        )
        assert part.table == action.table
        cutting = {(name, bit) for name, offset, width in part.cut_by for bit in range(offset, offset + width)}
        assert cutting and cutting <= matched
        assert all(bit < 8 * FIELD_SIZES[name] for name, bit in cutting)
        met.add(part)
    assert met == set(service.learned.parts), "a part of which nothing is learned costs a request"
