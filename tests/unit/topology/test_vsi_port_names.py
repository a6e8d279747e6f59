"""Names of VSI ports: patterns that cover them, and rules from a VSI to one."""

from __future__ import annotations

import pytest

from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.topology.vsi_ports import USUAL_NAMES, VsiPortPattern, is_pattern, name_of_port, odd_template

VSI, MAC = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f", 0x525400AA0001


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (USUAL_NAMES, "tap09b11c53-8b"),
        ("tap{mac}", "tap525400aa0001"),
        ("{vsi:8}-x", "09b11c53-x"),
        ("q{mac:4}{vsi:2}", "q525409"),
        ("{vsi}", None),
    ],
)
def test_a_rule_gives_a_name_that_an_interface_can_have(template: str, name: str | None) -> None:
    assert odd_template(template) is None
    assert name_of_port(template, VSI, MAC) == name


def test_a_rule_by_the_address_gives_no_name_without_one() -> None:
    assert name_of_port("tap{mac}", VSI, None) is None
    assert name_of_port(USUAL_NAMES, VSI, None) == "tap09b11c53-8b"


@pytest.mark.parametrize("template", ["tap", "tap{name}", "tap{vsi:0}", "a b{mac}", "tap{mac", "tap/{mac}"])
def test_what_is_no_rule_has_a_reason(template: str) -> None:
    assert odd_template(template)


@pytest.mark.parametrize("written", ["tap*", "vnet?", "t", "a.b-c_d"])
def test_a_pattern_has_at_least_one_letter(written: str) -> None:
    assert is_pattern(written)


@pytest.mark.parametrize("written", ["*", "?*", "", "a b", "[ab]", "sixteen-letters-"])
def test_wildcards_alone_and_what_no_interface_is_called_are_no_patterns(written: str) -> None:
    assert not is_pattern(written)


def test_the_first_pattern_that_covers_a_name_counts() -> None:
    switch = Switch(1, "vs1", vsi_ports=(VsiPortPattern("tap1*", 100), VsiPortPattern("tap*", 200, (300,))))
    first, second = switch.vsi_port("tap12", 5), switch.vsi_port("tap2")
    assert first is not None and (first.port_no, first.role, first.vids) == (5, Role.VSI, (100,))
    assert second is not None and second.vids == (200, 300)
    assert switch.vsi_port("eth0") is None
