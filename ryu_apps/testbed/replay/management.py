"""The NMS of a scenario: ``evbridge nms serve`` on the host ``nms``, and the report of what it has gathered.

It reaches the REST of the bridge as any host of the management network does: over TLS, with a token of the role
``read``.  Its hook writes each step into a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.nms import NmsHost
from ryu_apps.testbed.harness.rest_secrets import RestSecrets
from ryu_apps.testbed.harness.shell import PATIENCE, wait_until
from ryu_apps.testbed.replay.report import GatheredVm
from ryu_apps.testbed.replay.scenario import Scenario

#: The host of the topologies, and the name of the bridge at the NMS and of its secrets.
HOST, _BRIDGE = "nms", "bridge"
_TOKEN = "token-for-nms"
_STEPS = "steps"
_CONFIG = """version: 1
state_dir: state
bridges:
  {bridge}: {{urls: ["{url}"], token_file: "{token}", ca_file: "{authority}"}}
statistics: {{interval: 0.5}}
hooks:
  {steps}: {{steps: [stage, activate, release], command: [/bin/sh, -c, "cat >> {steps}"]}}
"""
_COUNTS = tuple((way, unit) for way in ("from_vm", "to_vm") for unit in ("packets", "octets"))

#: A VM of a scenario that moved: its name, where it was, and where it is now.
Move = tuple[str, str, str]


def secured(folder: Path) -> RestSecrets:
    """Make the secrets of the bridge, with a token for the NMS."""
    secrets = RestSecrets(folder, _BRIDGE)
    secrets.token_file(HOST, "read", _TOKEN)
    return secrets


def credentials(folder: Path) -> str:
    """Return the options of curl with which a shell of root reads REST."""
    return f'--cacert {_authority(folder)} -H "Authorization: Bearer $(cat {folder / _TOKEN})" '


def _authority(folder: Path) -> Path:
    return folder / f"rest-{_BRIDGE}.pem"


@contextmanager
def managed(scenario: Scenario, cluster: Cluster) -> Iterator[Management | None]:
    """The NMS of a scenario, started; None: the scenario has none."""
    if not scenario.file.cluster.nms:
        yield None
        return
    with closing(Management(scenario, cluster)) as management:
        management.start()
        yield management


class Management:
    """The NMS of one run, on a cluster whose REST has the secrets of :func:`secured`."""

    def __init__(self, scenario: Scenario, cluster: Cluster) -> None:
        self._scenario = scenario
        self._cluster = cluster
        self._folder = cluster.folder / HOST
        self._folder.mkdir()
        url = cluster.controller.url
        config = self._folder / "nms.yaml"
        names = {
            "bridge": _BRIDGE,
            "url": url,
            "token": cluster.folder / _TOKEN,
            "authority": _authority(cluster.folder),
            "steps": _STEPS,
        }
        config.write_text(_CONFIG.format(**names), encoding="utf-8")
        self._host = NmsHost(cluster.hosts[HOST].namespace, config, (urlsplit(url).port or 443,))

    def start(self) -> None:
        """Start it; meanwhile VMs may start."""
        self._host.begin()

    def await_followed(self) -> None:
        """Wait until it has an answer of the bridge, and follows its events."""
        self._host.wait()

        def follows() -> bool:
            (bridge,) = self._host.get("/nms/bridges")
            return bridge["error"] is None and all(member["error"] is None for member in bridge["events"])

        wait_until(follows, "the bridge at the NMS", PATIENCE, pause=0.05)

    def close(self) -> None:
        """End it."""
        self._host.close()

    def report(self, moves: Iterable[Move]) -> tuple[GatheredVm, ...]:
        """Return what it has gathered of each VM; their traffic has ended.

        Args:
            moves: those that were completed, in their order.
        """
        done = list(moves)
        return tuple(
            self._of(name, [(source, to) for vm, source, to in done if vm == name]) for name in self._scenario.vsis
        )

    def _of(self, name: str, moves: list[tuple[str, str]]) -> GatheredVm:
        vsi = self._scenario.vsis[name].uuid
        wanted = [f"{step} {to}" for _, to in moves for step in ("stage", "activate")]
        wanted_away = [f"release {source}" for source, _ in moves]

        def told() -> bool:
            steps = self._steps(vsi)
            return _in_order(wanted, steps) and _in_order(wanted_away, steps)

        failures = []
        with suppress(TimeoutError):
            wait_until(told, "steps at the hook", PATIENCE, pause=0.05)
        if not told():
            failures.append(f"of the steps {wanted + wanted_away} the hook was told: {self._steps(vsi)}")
        counts, places = self._counted(vsi, failures)
        return GatheredVm(name, tuple(places), counts, tuple(self._steps(vsi)), tuple(failures))

    def _steps(self, vsi: str) -> list[str]:
        """Steps of a VSI and where, as the hook was told; those told again are there once."""
        path = self._folder / _STEPS
        calls = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        by_id = {call["id"]: call for call in calls if call["vsi"] == vsi}
        return [f"{call['step']} {self._name_of(call['port'])}" for call in by_id.values()]

    def _counted(self, vsi: str, failures: list[str]) -> tuple[dict[str, int], list[str]]:
        """Return the totals of a VSI and the places of its samples; nothing, if its type has no statistics."""
        try:
            least = self._own(vsi)
        except HTTPError:
            return {}, []

        def has_all() -> bool:
            with suppress(OSError):
                return _no_less(_counts(self._host.get(f"/nms/vsis/{vsi}")), least)
            return False

        with suppress(TimeoutError):
            wait_until(has_all, "totals at the NMS", PATIENCE, pause=0.1)
        counts = _counts(self._host.get(f"/nms/vsis/{vsi}"))
        if not _no_less(counts, least) or not _no_less(self._own(vsi), counts):
            failures.append(f"the NMS has gathered {counts}, the bridge has counted {least}")
        ports = [sample["port"] for sample in self._host.get(f"/nms/vsis/{vsi}/series?limit=10000")]
        return counts, list(_changes(map(self._name_of, filter(None, ports))))

    def _own(self, vsi: str) -> dict[str, int]:
        return _counts(self._cluster.controller.get(f"/evb/statistics/{vsi}?fresh=1"))

    def _name_of(self, port: str) -> str:
        hypervisors = self._cluster.hypervisors.values()
        return next((hypervisor.name for hypervisor in hypervisors if str(hypervisor.port) == port), port)


def _counts(shown: Mapping[str, Any]) -> dict[str, int]:
    return {f"{way} {unit}": int((shown[way] or {}).get(unit, 0)) for way, unit in _COUNTS}


def _no_less(counts: Mapping[str, int], others: Mapping[str, int]) -> bool:
    return all(number >= others[name] for name, number in counts.items())


def _in_order(wanted: Iterable[str], steps: Iterable[str]) -> bool:
    """True if all that is wanted is among the steps, in this order."""
    left = iter(steps)
    return all(step in left for step in wanted)


def _changes(places: Iterable[str]) -> Iterator[str]:
    before = None
    for place in places:
        if place != before:
            yield place
        before = place
