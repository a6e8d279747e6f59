"""Two bridges that do not know each other, and an NMS on its host: state, totals and hooks of VMs that move.

The script that carries the state knows the URLs of both bridges: it reads it at one and puts it to the other.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from mininet_tests.conftest import CHECKOUT, SHORT
from ryu_apps.testbed.conversations import DNS, HTTP, MYSQL, FirewallVm, connected, guest, passes, stack_of, trespasses
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.nms import NmsHost
from ryu_apps.testbed.harness.rest_secrets import certify
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.separate_bridges import SeparateBridges
from ryu_apps.testbed.harness.shell import Namespace, wait_until
from ryu_apps.testbed.moves.attempt import Attempt
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.observers import StepObserver
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder, MoveStep

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

URLS = {"hv1": "http://127.0.0.1:8080", "hv4": "http://127.0.0.1:8081"}
THERE, BACK = "hv4", "hv1"
#: A type with statistics.
ACCOUNTED = (30, 1)
#: Frames of a guest beside those that it is made to send: it asks for neighbours, once or twice.  Less than are sent.
BESIDE = 3
NMS = """version: 1
state_dir: state
bridges:
  a: {urls: ["http://127.0.0.1:8080"]}
  b: {urls: ["http://127.0.0.1:8081"]}
statistics: {interval: 0.2}
hooks:
  file: {steps: [stage, activate, fix-up, release], command: [/bin/sh, -c, "cat >> told"]}
"""


FROM_PROMETHEUS = "{interval: 1, prometheus: {url: https://127.0.0.1:9090, ca_file: prometheus.pem, history: 0}}"
SCRAPES = """global: {scrape_interval: 500ms}
scrape_configs:
  - {job_name: evbridge, static_configs: [{targets: ["127.0.0.1:8080", "127.0.0.1:8081"]}]}
"""


def asked(method: str, url: str, body: Any = None) -> Any:
    """The answer to a request."""
    octets = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, octets, {"Content-Type": "application/json"}, method=method), timeout=10) as answer:
        return json.load(answer)


@dataclass(frozen=True, slots=True)
class Carrier(StepObserver):
    """The script: carries the state while the memory is copied, and what has come since before the Associate."""

    source: str
    destination: str
    vsi: str

    def before(self, step: MoveStep, attempt: Attempt) -> None:
        if step in (MoveStep.COPY, MoveStep.ASSOCIATE):
            state = asked("GET", self.source + f"/evb/vsis/{self.vsi}/state")
            asked("PUT", self.destination + f"/evb/vsis/{self.vsi}/state", state)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeparateBridges]:
    folder: Path = tmp_path_factory.mktemp("bridges")
    with inside(), closing(StationLoop()) as loop:
        station: Callable[..., EmulatedStation] = partial(EmulatedStation, loop)
        with SeparateBridges(folder, CHECKOUT / "policies", station, SHORT) as cluster:
            yield cluster


def move(cluster: SeparateBridges, vm: FirewallVm, there: str, ladder: Ladder, carried: bool = True) -> None:
    carrier = Carrier(URLS[vm.at], URLS[there], vm.vsi.uuid)
    observers = (carrier,) if carried else ()
    move = SingleMove(cluster, vm.vsi, vm.vm.name, vm.at, there, ladder, 0.02, observers=observers)
    assert move.run().evidence.outcome is MoveOutcome.COMPLETED
    vm.at = there


@pytest.mark.parametrize("ladder", LIVE_LADDERS)
def test_connections_go_on_and_nothing_else_gets_in(both: SeparateBridges, ladder: Ladder) -> None:
    near, far = stack_of(both.hosts["nms"]), stack_of(both.hosts["client"])
    with guest(both, hypervisor=BACK) as vm, ExitStack() as ends:
        receiver, pusher = ends.enter_context(connected(vm.stack, far, MYSQL))
        uploader, server = ends.enter_context(connected(near, vm.stack, HTTP))
        for there in (THERE, BACK):
            move(both, vm, there, ladder)
            assert passes(pusher, receiver) and passes(uploader, server)
            assert passes(receiver, pusher) and passes(server, uploader)
        assert trespasses(far, vm.stack, (MYSQL, receiver.getsockname()[1])) == ["known"]
        assert trespasses(near, vm.stack, (uploader.getsockname()[1], HTTP)) == ["known"]


@pytest.fixture(params=["bridges", "prometheus"])
def nms(both: SeparateBridges, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NmsHost]:
    """The daemon on the host ``nms``, whose hook writes what it is told into a file; totals come from the parameter."""
    config = tmp_path / "nms.yaml"
    host = both.hosts["nms"].namespace
    with ExitStack() as stack:
        daemon = stack.enter_context(closing(NmsHost(host, config, (8080, 8081))))
        if request.param == "prometheus":
            stack.enter_context(prometheus(host, tmp_path))
        config.write_text(NMS if request.param == "bridges" else NMS.replace("{interval: 0.2}", FROM_PROMETHEUS))
        daemon.start()
        yield daemon


@contextmanager
def prometheus(host: Namespace, folder: Path) -> Iterator[None]:
    """Run a Prometheus that scrapes both bridges, and that is asked over TLS."""
    certify(folder / "prometheus.pem", folder / "prometheus.key")
    (folder / "prometheus.yml").write_text(SCRAPES)
    (folder / "web.yml").write_text("tls_server_config: {cert_file: prometheus.pem, key_file: prometheus.key}\n")
    files = [f"--config.file={folder}/prometheus.yml", f"--web.config.file={folder}/web.yml"]
    there = ["--web.listen-address=127.0.0.1:9090", f"--storage.tsdb.path={folder}/data"]
    process = host.popen("prometheus", *files, *there, log=folder / "prometheus.log")
    try:
        yield
    finally:
        process.kill()
        process.wait()


def told(folder: Path, vm: FirewallVm) -> list[tuple[str, str]]:
    """Steps of a VM that the hook was told of, each with its bridge, without repetitions."""
    path = folder / "told"
    calls = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    by_id = {call["id"]: (call["bridge"], call["step"]) for call in calls if call["vsi"] == vm.vsi.uuid}
    return list(by_id.values())


@pytest.mark.parametrize(("number", "carried"), [(1, True), (2, False)], ids=["carried", "not carried"])
def test_nms_knows_the_totals_of_a_vm_wherever_it_was_and_tells_its_steps(
    both: SeparateBridges, nms: NmsHost, tmp_path: Path, number: int, carried: bool
) -> None:
    far = stack_of(both.hosts["client"])
    with guest(both, number, BACK, ACCOUNTED) as vm:
        path = f"/nms/vsis/{vm.vsi.uuid}"

        def counted(frames: Callable[[], int], bridge: str) -> Callable[[], bool]:
            def is_so() -> bool:
                with suppress(OSError):
                    found = nms.get(path)
                    return found["bridge"] == bridge and 0 <= found["from_vm"]["packets"] - frames() <= BESIDE
                return False

            return is_so

        def sends(frames: int) -> None:
            with closing(vm.stack.socket(socket.SOCK_DGRAM)) as sender:
                for _ in range(frames):
                    sender.sendto(b"counted", (far.ip, DNS))

        own = both.controllers["a"].get
        sends(5)
        wait_until(lambda: own(f"/evb/statistics/{vm.vsi.uuid}?fresh=1")["from_vm"]["packets"] >= 5, "5 frames", 10)
        first = own(f"/evb/statistics/{vm.vsi.uuid}?fresh=1")["from_vm"]["packets"]
        wait_until(counted(lambda: first, "a"), f"{first} frames at the NMS", 20)
        # It dies while the VM moves, and goes on where it was.
        nms.kill()
        move(both, vm, THERE, Ladder.SAFEST_EXCHANGE, carried)
        nms.start()
        sends(7)
        base = first if carried else 0
        other = both.controllers["b"].get

        def there() -> int:
            return int(other(f"/evb/statistics/{vm.vsi.uuid}?fresh=1")["from_vm"]["packets"])

        wait_until(lambda: there() >= base + 7, "7 frames", 10)
        wait_until(counted(lambda: first + there() - base, "b"), "the sum at the NMS", 20)
        series = nms.get(path + "/series")
        totals = [sample["from_vm"]["packets"] for sample in series]
        assert totals == sorted(totals) and {sample["bridge"] for sample in series} >= {"a", "b"}
        steps = [("b", "stage"), ("a", "release"), ("b", "activate")]
        wait_until(lambda: set(steps) <= set(told(tmp_path, vm)), "calls of the hook", 20)
    wait_until(lambda: ("b", "release") in told(tmp_path, vm), "the last call", 20)
    assert nms.get("/nms/hooks")[0]["failed"] == 0


def test_bridge_takes_no_state_of_a_vsi_that_is_active_there_or_not_reserved(both: SeparateBridges) -> None:
    with guest(both, hypervisor=BACK) as vm:
        path = f"/evb/vsis/{vm.vsi.uuid}/state"
        state = asked("GET", URLS[BACK] + path)
        for place, status in ((BACK, 409), (THERE, 404)):
            with pytest.raises(HTTPError) as refusal:
                asked("PUT", URLS[place] + path, state)
            assert refusal.value.code == status
