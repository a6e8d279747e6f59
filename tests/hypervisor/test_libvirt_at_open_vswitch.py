"""`virsh migrate` between servers whose guests have taps at Open vSwitch, with ``evbridge station``: ladders."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ryu_apps.testbed.guests import who_has
from ryu_apps.testbed.harness.capture import Tap, all_but_ethertypes
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.hypervisors.domain import Guest
from ryu_apps.testbed.hypervisors.guest_image import ECHO, SOURCE, build_image
from ryu_apps.testbed.hypervisors.guest_site import LONG
from ryu_apps.testbed.hypervisors.guest_stream import GuestStream
from ryu_apps.testbed.hypervisors.server_site import ServerSite
from ryu_apps.testbed.hypervisors.staged_tap import StagedTap
from ryu_apps.testbed.hypervisors.witness import LibvirtWitness
from ryu_apps.testbed.ladder import mermaid, svg, text
from ryu_apps.testbed.ladder.hypervisor import recorded_steps, station_steps
from ryu_apps.testbed.ladder.model import LadderDiagram, LadderStep, Lane
from ryu_apps.testbed.ladder.timeline import steps_of
from ryu_apps.testbed.raw_frames import RawSocket

pytestmark = [pytest.mark.privileged, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "reports" / "hypervisor"
HERE, THERE = "hv1", "hv2"
OPENING = Lane.DESTINATION_SWITCH, "gate: opening"
#: Of a guest that is started.
STEPS = "flow.staged", "flow.activated"
LANES = {HERE: Lane.SOURCE, THERE: Lane.DESTINATION}
_numbers = count(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerSite]:
    folder = tmp_path_factory.mktemp("servers")
    image = build_image(Path(os.environ["EVBRIDGE_GUEST_KERNEL"]), tmp_path_factory.mktemp("image"))
    with inside(), ServerSite(folder, [ROOT / "policies"], image) as site:
        yield site


@pytest.fixture
def guest(site: ServerSite) -> Iterator[Guest]:
    """A guest at the first server; afterwards no server has it, and the switches hold what they held before."""
    with booted(site) as guest:
        yield guest


@contextmanager
def booted(site: ServerSite, disk: str = "") -> Iterator[Guest]:
    """A guest for the time of a ``with`` block."""
    before = site.tables()
    number = next(_numbers)
    uuid, mac = f"66666666-2222-4333-8444-{number:012d}", f"52:54:00:ee:00:{number:02x}"
    guest = Guest(f"vm{number}", uuid, mac, f"10.0.100.{10 + number}", 10, 1, disk=disk)
    site.boot(guest, HERE)
    yield guest
    site.destroy(guest)
    wait_until(lambda: site.tables() == before, "flow tables as before the test", LONG)


@dataclass(frozen=True)
class Run:
    """A migration that is over: its ladder, and the frames at the guest's ports and at its client."""

    ladder: LadderDiagram
    staged: StagedTap
    source: StagedTap
    client: Tap

    def t(self, lane: Lane, words: str) -> float:
        """Time of the first step with these words that begins at a lane."""
        return min(step.t for step in self.ladder.steps if step.origin is lane and step.text == words)


def migrate(site: ServerSite, guest: Guest, folder: Path, *options: str) -> Run:
    """Move a guest, and resume it there if it arrives suspended; broadcasts and its connections go on meanwhile."""
    client, watcher = site.cluster.hosts["client"], site.cluster.watcher
    staged, source = (StagedTap(site.port(guest, host), watcher) for host in (THERE, HERE))
    with ExitStack() as stack:
        witness = stack.enter_context(LibvirtWitness(site.libvirtds, folder))
        streams = [stack.enter_context(GuestStream(client.namespace, guest.ip, port)) for port in (ECHO, SOURCE)]
        for port in (source, staged):
            stack.enter_context(port)
        heard = watcher.watch(Tap(client.namespace, client.interface, all_but_ethertypes()))
        stack.callback(watcher.dismiss, heard)
        begun = time.monotonic()
        virsh = stack.enter_context(site.slow_migration(guest, HERE, THERE, *options))
        wait_until(lambda: None not in (staged.missed, source.missed), "ports of the guest")
        with RawSocket(client.namespace, client.interface) as sender:
            sender.send(who_has(guest.ip, client.mac, client.ip))
        if "--postcopy" in options:
            begin_postcopy(site, guest)
        written = site.finish(guest, HERE, virsh)
        assert "error" not in written, written
        if "--suspend" in options:
            wait_until(lambda: site.places(guest) == {THERE: "active"}, "the VSI at the destination", LONG)
            site.libvirtds[THERE].virsh("resume", guest.name)
        site.wait_there(guest, THERE)
        for stream in streams:
            stream.wait_heard("after the move")
        steps = [LadderStep(begun, Lane.VCM, Lane.SOURCE, " ".join(["virsh migrate --live", *options]))]
        steps += [step for step in recorded(site, guest, witness) if step.t >= begun]
    names = {Lane.VCM: "libvirt", **{lane: host for host, lane in LANES.items()}, Lane.VM: guest.name}
    names |= {Lane.SOURCE_SWITCH: "vs1", Lane.DESTINATION_SWITCH: "vs2"}
    title = " ".join(["virsh migrate", *options]) + f": {guest.name} from {HERE} to {THERE}"
    return Run(LadderDiagram(title, names, tuple(steps)), staged, source, heard)


def begin_postcopy(site: ServerSite, guest: Guest) -> None:
    """Let a guest go on at its destination; libvirt refuses until it has told QEMU to migrate."""

    def begins() -> bool:
        return "error" not in site.libvirtds[HERE].virsh("migrate-postcopy", guest.name, check=False)

    wait_until(begins, "post-copy", LONG, pause=0.5)


def recorded(site: ServerSite, guest: Guest, witness: LibvirtWitness) -> list[LadderStep]:
    """Steps that libvirt, QEMU, the stations and the bridge have recorded of a guest, on one clock."""
    steps: list[LadderStep] = []
    offset = time.monotonic() - time.time()
    for host, lane in LANES.items():
        steps += recorded_steps(witness.recorded(host), guest.name, lane)
        steps += station_steps(site.station(host).log.read_text(), guest.uuid, lane, offset)
    events = vsi_events(site, guest)
    here, there = (str(site.cluster.hypervisors[host].port) for host in (HERE, THERE))
    return steps + steps_of(events, here, there)


def keep(run: Run, name: str) -> None:
    """Write the ladder, with what must be zero below it, into the folder of reports."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    for renderer, ending in ((text, "txt"), (mermaid, "mmd"), (svg, "svg")):
        (REPORTS / f"{name}.{ending}").write_text(renderer.render(run.ladder), encoding="utf-8")
    counted = "".join(f"{what}: {number}\n" for what, number in must_be_zero(run).items())
    with (REPORTS / f"{name}.txt").open("a", encoding="utf-8") as file:
        file.write(f"\nMust be zero\n{counted}")


def must_be_zero(run: Run) -> dict[str, int]:
    """Count the frames that passed the guest's port at the destination before its gate was opened, or were missed."""
    opening, resumed = run.t(*OPENING), run.t(Lane.DESTINATION, "QEMU: RESUME")
    early = {seen.data for seen in run.staged.sent() if seen.t < opening}
    assert run.staged.missed is not None, "the port was not watched"
    return {
        "frames to the guest at a staged port": sum(seen.t < opening for seen in run.staged.delivered()),
        "frames of the guest from a staged port": sum(
            resumed < seen.t < opening and seen.data in early for seen in run.client.sightings
        ),
        "frames that the capture missed": run.staged.missed,
    }


def assert_reserved_before_the_copy(run: Run) -> None:
    """The bridge's answer and the station's come before QEMU begins; QEMU sends the first page when it is *active*."""
    answered = run.t(Lane.DESTINATION_SWITCH, "Pre-Associate with RR: success")
    told = run.t(Lane.DESTINATION, "station: answer reserved")
    assert answered < told < run.t(Lane.SOURCE, "QEMU: MIGRATION setup") < run.t(Lane.SOURCE, "QEMU: MIGRATION active")


def assert_no_leak(run: Run) -> None:
    """Nothing passes the guest's port at the destination before its gate is opened, and afterwards something does."""
    staged, opening = run.t(Lane.DESTINATION_SWITCH, "Pre-Associate with RR: success"), run.t(*OPENING)
    assert [seen for seen in run.source.delivered() if staged < seen.t < opening], "nothing was sent to the guest"
    assert not any(must_be_zero(run).values()), must_be_zero(run)
    assert run.staged.delivered(), "nothing reaches the guest at its destination"


def test_a_guest_on_a_tap_is_staged_before_its_first_page_is_copied(
    site: ServerSite, guest: Guest, tmp_path: Path
) -> None:
    run = migrate(site, guest, tmp_path)
    keep(run, "libvirt-at-open-vswitch")
    assert_reserved_before_the_copy(run)
    assert_no_leak(run)
    assert run.t(Lane.SOURCE, "QEMU: STOP") < run.t(*OPENING)


def test_a_guest_that_arrives_suspended_is_resumed_behind_an_open_port(
    site: ServerSite, guest: Guest, tmp_path: Path
) -> None:
    run = migrate(site, guest, tmp_path, "--suspend")
    keep(run, "libvirt-suspend")
    assert_reserved_before_the_copy(run)
    assert_no_leak(run)
    answered = run.t(Lane.DESTINATION_SWITCH, "Associate: success")
    assert answered < run.t(Lane.DESTINATION, "station: answer associated") < run.t(Lane.DESTINATION, "QEMU: RESUME")


def test_a_guest_that_runs_before_its_memory_is_there_has_its_network(
    site: ServerSite, guest: Guest, tmp_path: Path
) -> None:
    run = migrate(site, guest, tmp_path, "--postcopy")
    keep(run, "libvirt-postcopy")
    assert_reserved_before_the_copy(run)
    assert_no_leak(run)
    assert run.t(Lane.SOURCE, "QEMU: MIGRATION postcopy-active") < run.t(Lane.SOURCE, "QEMU: MIGRATION completed")


def test_a_copy_on_demand_that_was_aborted_is_resumed_and_ends(site: ServerSite, guest: Guest) -> None:
    """Until the copy goes on, nothing may make QEMU itself use memory of the guest that is not there.

    It would wait with its lock held, and libvirt for its answer, for good.  So the guest has run there before (its
    interrupts' stacks have come), and gets no frame meanwhile, which QEMU would write into the guest's memory.
    """
    client = site.cluster.hosts["client"].namespace
    with site.slow_migration(guest, HERE, THERE, "--postcopy", "--postcopy-bandwidth", "1") as virsh:
        with GuestStream(client, guest.ip, ECHO) as echo:
            begin_postcopy(site, guest)
            wait_until(lambda: site.places(guest) == {THERE: "active"}, "the VSI at the destination", LONG)
            echo.wait_heard("before the abort")
        # Not each is carried out: libvirt says "ok" and the copy goes on.
        repeat_until_ended(site, virsh, "domjobabort", "--postcopy", guest.name)
        assert virsh.returncode != 0
    assert site.places(guest) == {THERE: "active"}

    words = site.migration(guest, HERE, THERE, "--postcopy", "--postcopy-resume")
    resumed = site.libvirtds[HERE].start_virsh(*words)
    # It goes on with the bandwidth of before until it is told otherwise.
    repeat_until_ended(site, resumed, "migrate-setspeed", "--postcopy", guest.name, "1000")
    assert (resumed.returncode, resumed.communicate()[0].strip()) == (0, b"")
    site.wait_there(guest, THERE)
    with GuestStream(client, guest.ip, ECHO) as echo:
        echo.wait_heard("after the copy")


def repeat_until_ended(site: ServerSite, virsh: subprocess.Popen[bytes], *words: str) -> None:
    """Give libvirt a command at the source until another one has ended."""

    def ended() -> bool:
        site.libvirtds[HERE].virsh(*words, check=False)
        return virsh.poll() is not None

    wait_until(ended, "the end of virsh", 300.0, pause=1.0)


def test_a_guest_whose_snapshot_libvirt_reverts_has_its_network(site: ServerSite, tmp_path: Path) -> None:
    """libvirt ends its QEMU and starts another one with the saved state: the VSI is released and associated again."""
    disk, client = tmp_path / "disk.qcow2", site.cluster.hosts["client"].namespace
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64M"])
    with booted(site, str(disk)) as guest:
        virsh = site.libvirtds[HERE].virsh
        virsh("snapshot-create-as", guest.name, "before")
        with GuestStream(client, guest.ip, ECHO) as echo:
            echo.wait_heard("after the snapshot")
        known = len(vsi_events(site, guest))

        virsh("snapshot-revert", guest.name, "before")

        site.wait_there(guest, HERE)
        with GuestStream(client, guest.ip, ECHO) as echo:
            echo.wait_heard("after the way back")
        steps = [event["kind"] for event in vsi_events(site, guest)[known:]]
        assert [step for step in steps if step in STEPS] == list(STEPS), "it came as any guest that is started"
        virsh("snapshot-delete", guest.name, "before")


def vsi_events(site: ServerSite, guest: Guest) -> list[dict[str, Any]]:
    """Events of a guest's VSI."""
    return [event for event in site.controller.get("/evb/events") if event["vsi"] == guest.uuid]
