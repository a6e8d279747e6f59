"""The leader of three bridges is killed again and again, or seems to be dead: the time until another one answers.

Bystanders have traffic all the time and lose nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from ryu_apps.evb.config.service_sections import PATIENCE
from ryu_apps.testbed.faults.members import Member, MembersRig
from ryu_apps.testbed.faults.rig import RigVm
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

VM, HOME, AWAY = RigVm("taken", 74), "hv1", "hv5"
#: The longest patience: a claim before has not waited for the lease to lapse.  Seconds in which all has to be over.
LONG, SOON = 5.0, 60.0
#: Kills of the leader: twice at least, so that a former leader leads again or is passed over.  Figures need more.
KILLS = [(3, LONG), pytest.param(12, PATIENCE, marks=pytest.mark.soak)]


@pytest.mark.parametrize(("kills", "patience"), KILLS)
def test_leader_is_killed_and_the_repeated_request_is_answered_by_the_next_one(
    tmp_path_factory: pytest.TempPathFactory, kills: int, patience: float
) -> None:
    with inside(), MembersRig(tmp_path_factory.mktemp("taken"), patience=patience) as rig:
        rig.admit(VM, HOME)
        with rig.unharmed(f"kill -9 of the leader of three bridges, {kills} times") as times:
            spans = []
            for _ in range(kills):
                former = rig.await_standbys()
                begun = rig.kill(former)
                spans.append(rig.until_answered(HOME, VM, SOON) - begun)
                assert rig.await_leader(limit=SOON) is not former
                assert rig.places(VM) == [HOME]
                if patience == LONG:
                    assert rig.leader.cluster()["reason"] == "gone"
                rig.start(former)
            spans.sort()
            times |= {"p50": spans[len(spans) // 2], "slowest": spans[-1]}
        if patience == LONG:
            rig.await_standbys()
            a_leader_that_seems_to_be_dead_stands_aside(rig)
        rig.write(f"take-over-{kills}")


def a_leader_that_seems_to_be_dead_stands_aside(rig: MembersRig) -> None:
    """Connections to its REST resources are refused, as by a firewall or a neighbour that resets them."""
    former, since = rig.leader, time.monotonic()
    lost = former.cluster()["lost"]
    with rig.unharmed("connections to the REST resources of the leader are refused") as times:
        with refused(former):
            rig.await_leader(former, limit=SOON)
            times["another one leads"] = time.monotonic() - since
            rig.admit(VM, AWAY)
            wait_until(lambda: not rig.holds(HOME, VM), "the source to let go", SOON)
            assert rig.places(VM) == [AWAY]
        wait_until(lambda: former.stands_by, "the former leader stands by", SOON)
    assert former.cluster()["lost"] == lost + 1
    assert rig.leader.cluster()["reason"] == "gone"
    assert rig.late_acts(since) == []


@contextmanager
def refused(member: Member) -> Iterator[None]:
    """New connections to the REST resources of a member are refused, although it listens."""
    rule = f"tcp dport {urlsplit(member.url).port} reject with tcp reset"
    run(["nft", "-f", "-"], f"table inet deaf {{ chain input {{ type filter hook input priority 0; {rule}; }}; }}\n")
    try:
        yield
    finally:
        run(["nft", "delete", "table", "inet", "deaf"])
