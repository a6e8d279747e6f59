"""The leader of three bridges is killed again and again, with default timers: the time until another one answers.

Bystanders have traffic all the time and lose nothing.
"""

from __future__ import annotations

import pytest

from ryu_apps.testbed.faults.members import MembersRig
from ryu_apps.testbed.faults.rig import RigVm
from ryu_apps.testbed.harness.sandbox import inside

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

VM, HOME = RigVm("taken", 74), "hv1"
#: Kills of the leader: twice at least, so that a former leader leads again or is passed over.  Figures need more.
KILLS = [3, pytest.param(12, marks=pytest.mark.soak)]


@pytest.mark.parametrize("kills", KILLS)
def test_leader_is_killed_and_the_repeated_request_is_answered_by_the_next_one(
    tmp_path_factory: pytest.TempPathFactory, kills: int
) -> None:
    with inside(), MembersRig(tmp_path_factory.mktemp("taken")) as rig:
        rig.admit(VM, HOME)
        with rig.unharmed(f"kill -9 of the leader of three bridges, {kills} times") as times:
            spans = []
            for _ in range(kills):
                former = rig.await_standbys()
                begun = rig.kill(former)
                spans.append(rig.until_answered(HOME, VM) - begun)
                assert rig.await_leader() is not former
                assert rig.places(VM) == [HOME]
                rig.start(former)
            spans.sort()
            times |= {"p50": spans[len(spans) // 2], "slowest": spans[-1]}
        rig.write(f"take-over-{kills}")
