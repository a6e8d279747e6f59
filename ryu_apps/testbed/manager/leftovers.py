"""Rules in the switches of a cluster that should be gone."""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.testbed.flow_dumps import DepartedVsi, dump_rules, left_behind, owner_at, read_dump
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.measurement.durations import TIDY

#: In place of a number of rules: the VM's own gate is not there.
NO_GATE = -1


class Leftovers:
    """Rules of VMs where they are not, and rules that are there when all VMs are gone."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._empty: dict[str, list[str]] = {}

    def tables(self) -> dict[str, list[str]]:
        """Return the rules of every switch."""
        return {switch.name: dump_rules(switch.name) for switch in self._cluster.fabric.switches.values()}

    def note(self) -> None:
        """Note the rules of now, when there is no VM."""
        self._empty = self.tables()

    def of(self, mac: str, place: str) -> int:
        """Rules of a VM where it is not, once the bridge has had the time to tidy up; NO_GATE: it has no gate."""
        home = self._cluster.hypervisors[place]

        def count() -> int:
            dumps = {dpid: read_dump(dump_rules(switch.name)) for dpid, switch in self._cluster.fabric.switches.items()}
            owner = owner_at(dumps[home.port.dpid], home.gate_port, mac)
            if owner is None:
                return NO_GATE
            return sum(
                len(left_behind(rules, DepartedVsi(mac, owner, owner, dpid == home.port.dpid)))
                for dpid, rules in dumps.items()
            )

        return _soon_zero(count)

    def at_the_end(self) -> int:
        """Rules that were not there without VMs, or are not there any more."""

        def count() -> int:
            now = self.tables()
            return sum(len(set(now[name]) ^ set(rules)) for name, rules in self._empty.items())

        return _soon_zero(count)


def _soon_zero(count: Callable[[], int]) -> int:
    try:
        wait_until(lambda: count() == 0, "tidying up", TIDY, pause=0.2)
    except TimeoutError:
        return count()
    return 0
