"""Networks of answers to VMs without a VID of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.testbed.harness.station import VdptoolAnswer, VdptoolVsi
from ryu_apps.testbed.moves.attempt import granted_network
from ryu_apps.vcm.move_events import GrantedNetwork

MAC = "52:54:00:aa:00:01"
VSI = VdptoolVsi("00000000-0000-4000-8000-000000000001", 1, 1, (f"0-{MAC}",))
#: A filter entry begins with PS, PCP and VID, as 16 bits in decimal.
PRIORITY_SIGNIFICANT, PCP = 1 << 15, 1 << 12


def answer(*filters: str) -> VdptoolAnswer:
    return VdptoolAnswer(True, "", 1.0, 1.5, filters)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (200, GrantedNetwork(200)),
        (PRIORITY_SIGNIFICANT + 3 * PCP + 200, GrantedNetwork(200, 3)),
        (PRIORITY_SIGNIFICANT + 200, GrantedNetwork(200, 0)),
        (3 * PCP + 200, GrantedNetwork(200)),
        (0, None),
    ],
)
def test_the_network_is_that_of_the_answer(tag: int, expected: GrantedNetwork | None) -> None:
    assert granted_network(VSI, answer(f"{tag}-{MAC}")) == expected


def test_a_vm_with_a_vid_and_a_refused_one_have_no_granted_network() -> None:
    own = replace(VSI, filters=(f"100-{MAC}",))
    assert granted_network(own, answer(f"100-{MAC}")) is None
    assert granted_network(VSI, answer()) is None
    assert granted_network(VSI, None) is None
