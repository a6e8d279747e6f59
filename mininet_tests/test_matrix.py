"""The matrix on a real cluster: every row at a small size, and whether it would notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ryu_apps.testbed.harness.crowds import silent_after
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run
from ryu_apps.testbed.matrix.play import all_cases, stage
from ryu_apps.testbed.matrix.run import Case, Matrix
from ryu_apps.testbed.matrix.tcp import FirewallWorkload
from ryu_apps.testbed.matrix.workload import WorkloadVerdict
from ryu_apps.vcm.move import Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

LIVE = 10


class Forgetful(FirewallWorkload):
    """A switch that loses its connections after the move, as one would that nobody had told."""

    service = "firewall"

    def judge(self) -> WorkloadVerdict:
        for switch in self._stage.cluster.fabric.switches.values():
            run(["ovs-ofctl", "-O", "OpenFlow13", "del-flows", switch.name, "table=70"])
        return WorkloadVerdict(self._live, silent_after(self._client, self._server, limit=2.0))


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with inside(), stage(tmp_path_factory.mktemp("matrix")) as matrix:
        yield matrix


@pytest.mark.parametrize("case", all_cases([LIVE]), ids=lambda case: case.name)
def test_what_was_live_survives_and_nothing_trespasses(matrix: Matrix, case: Case) -> None:
    cell = matrix.run(case)
    assert (cell.broken, cell.trespassed) == (0, 0)
    assert cell.rules > 0
    if case.workload is FirewallWorkload:  # two rules a connection
        born = -(-LIVE // 10)
        assert (cell.carried, cell.early + cell.fixed_up) == (2 * LIVE, 2 * born)
        assert case.trigger == "dual" or cell.early == 0


def test_lost_connections_are_found_out(matrix: Matrix) -> None:
    cell = matrix.run(Case(Forgetful, Ladder.MINIMIZE_LATENCY, "single", LIVE))
    assert cell.broken == LIVE + 1
