"""The matrix on a real cluster: every row at a small size, the suspension, and defects that it has to notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import ClassVar

import pytest

from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.harness.crowds import silent_after
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.matrix.cells import Cell
from ryu_apps.testbed.matrix.play import WORKLOADS, all_cases, measure, stage
from ryu_apps.testbed.matrix.run import Case, Matrix, cases
from ryu_apps.testbed.matrix.tcp import FirewallWorkload, ProxyWorkload
from ryu_apps.testbed.matrix.workload import WorkloadStage, WorkloadVerdict
from ryu_apps.vcm.move_events import Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

LIVE = 10
SUSPENSION, LONGER = 0.05, 0.4
FAST = Ladder.MINIMIZE_LATENCY
PLAN = list(cases(WORKLOADS, [LIVE], [SUSPENSION]))


class Forgetful(FirewallWorkload):
    """A switch that loses its connections after the move."""

    def judge(self) -> WorkloadVerdict:
        for switch in self._stage.cluster.fabric.switches.values():
            run(["ovs-ofctl", "-O", "OpenFlow13", "del-flows", switch.name, "table=70"])
        with suppress(TimeoutError):  # the datapath goes on forwarding by cached flows until it revalidates them
            wait_until(lambda: silent_after(self._client, self._server, limit=0.3) == self._live, "silence")
        return WorkloadVerdict(self._live, silent_after(self._client, self._server, limit=1.0))


class Unready(FirewallWorkload):
    """A workload that does not come up."""

    def begin(self, stage: WorkloadStage, live: int) -> None:
        super().begin(stage, live)
        raise DeadlineError("not ready")


class Contexts(ProxyWorkload):
    """TCP sockets of the proxies' hosts when the workload begins and after it has ended."""

    seen: ClassVar[list[str]] = []

    def begin(self, stage: WorkloadStage, live: int) -> None:
        self._count(stage)
        super().begin(stage, live)

    def end(self) -> None:
        super().end()
        self._count(self._stage)

    def _count(self, stage: WorkloadStage) -> None:
        sockets = ("ss", "--no-header", "--tcp", "--numeric", "state", "connected")
        self.seen.extend(proxy.namespace.run(*sockets) for proxy in stage.proxies)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with inside(), stage(tmp_path_factory.mktemp("matrix"), all_cases([LIVE])) as matrix:
        yield matrix


@pytest.mark.parametrize("case", PLAN, ids=lambda case: case.name)
def test_what_was_live_survives_and_nothing_trespasses(matrix: Matrix, case: Case) -> None:
    cell = matrix.run(case)
    assert (cell.broken, cell.trespassed) == (0, 0)
    assert cell.rules > 0
    # A request and its answer each: reservation, Associate; what ends the source, and its suspension.
    assert cell.messages >= 5
    if case.workload is FirewallWorkload:  # two rules a connection
        born = -(-LIVE // 10)
        assert (cell.carried, cell.early + cell.fixed_up) == (2 * LIVE, 2 * born)
        assert case.trigger == "dual" or cell.early == 0
        assert cell.dropped is not None
        assert cell.silence_ms is not None and cell.silence_ms > 0
    if case.workload is ProxyWorkload:
        assert (cell.contexts_left, cell.contexts_moved) == (LIVE + 1, 0)


def test_a_second_trigger_costs_a_request_and_its_answer(matrix: Matrix) -> None:
    single, dual = (
        matrix.run(Case(FirewallWorkload, FAST, trigger, LIVE, SUSPENSION)) for trigger in ("single", "dual")
    )
    assert (dual.messages - single.messages, dual.round_trips - single.round_trips) == (2, 1)


def test_the_suspension_lasts_as_long_as_the_case_wants(matrix: Matrix) -> None:
    cell = matrix.run(Case(FirewallWorkload, FAST, "dual", LIVE, LONGER))
    assert cell.suspended_ms >= 1000 * LONGER
    assert (cell.early > 0, cell.fixed_up) == (True, 0)


def test_proxies_keep_no_connection_of_an_earlier_case(matrix: Matrix) -> None:
    Contexts.seen.clear()
    matrix.run(Case(Contexts, FAST, "single", LIVE, SUSPENSION))
    assert Contexts.seen == ["", "", "", ""]


def test_a_move_that_is_not_completed_leaves_the_next_one_a_clean_cluster(matrix: Matrix) -> None:
    found = measure(matrix, Case(Unready, FAST, "single", LIVE, SUSPENSION))
    assert str(found) == f"firewall-{LIVE}-minimize-latency-single-{SUSPENSION:g}, round 1: not ready"
    assert isinstance(measure(matrix, Case(FirewallWorkload, FAST, "single", LIVE, SUSPENSION)), Cell)


def test_lost_connections_are_found_out(matrix: Matrix) -> None:
    cell = matrix.run(Case(Forgetful, FAST, "single", LIVE))
    assert cell.broken == LIVE + 1
