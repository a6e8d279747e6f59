"""`virsh migrate` between unmodified hypervisors: libvirt, lldpad and QEMU of Debian, ports with `station: libvirt`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.testbed.harness.shell import CommandError, run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.hypervisors.domain import Guest
from ryu_apps.testbed.hypervisors.guest_image import ECHO, SINK, SOURCE
from ryu_apps.testbed.hypervisors.guest_site import LONG
from ryu_apps.testbed.hypervisors.guest_stream import GuestStream
from ryu_apps.testbed.hypervisors.site import HypervisorSite
from tests.hypervisor.conftest import TYPE

pytestmark = [pytest.mark.privileged, pytest.mark.slow, pytest.mark.timeout(600)]

Boot = Callable[[str], Guest]
#: A VSI that takes the room of a guest.
OCCUPANT = VdptoolVsi("22222222-2222-4333-8444-000000000001", *TYPE, ("100-52:54:00:bb:00:01",))


def alarms(site: HypervisorSite, kind: str) -> list[Any]:
    return [alarm for alarm in site.controller.get("/evb/status")["alarms"] if alarm["kind"] == kind]


@contextmanager
def without_room(site: HypervisorSite) -> Iterator[None]:
    """The time of the ``with`` block, in which a VSI of another station has reserved the rules of the second switch."""
    station = site.hosts["hv2"].station
    assert station.request(VdptoolMode.PREASSOCIATE_RR, OCCUPANT).granted
    try:
        yield
    finally:
        assert station.request(VdptoolMode.DEASSOCIATE, OCCUPANT).granted


@contextmanager
def without_gates(switch: str) -> Iterator[None]:
    """The time of the ``with`` block, in which a switch refuses the rules that recognize a VSI's frames."""
    table = ["--id=@full", "create", "Flow_Table", "flow_limit=1", "overflow_policy=refuse"]
    run(["ovs-vsctl", "--", *table, "--", "set", "Bridge", switch, f"flow_tables:{Table.INGRESS:d}=@full"])
    try:
        yield
    finally:
        run(["ovs-vsctl", "clear", "Bridge", switch, "flow_tables"])


def test_a_guest_moves_there_and_back_three_times_and_keeps_its_connections(site: HypervisorSite, boot: Boot) -> None:
    guest, client = boot("hv1"), site.client.namespace
    with (
        GuestStream(client, guest.ip, ECHO) as echo,
        GuestStream(client, guest.ip, SOURCE) as source,
        GuestStream(client, guest.ip, SINK) as sink,
    ):
        for move in range(6):
            here, there = ("hv1", "hv2") if move % 2 == 0 else ("hv2", "hv1")
            assert "error" not in site.migrate(guest, here, there)
            site.wait_there(guest, there)
            for conversation in (echo, source):
                conversation.wait_heard(f"move {move + 1}")
            sink.wait_acknowledged(f"move {move + 1}")


def test_a_refused_preassociate_aborts_the_migration_and_leaves_the_guest_unharmed(
    site: HypervisorSite, boot: Boot
) -> None:
    guest = boot("hv1")
    with GuestStream(site.client.namespace, guest.ip, ECHO) as echo:
        with without_room(site):
            assert "error" in site.migrate(guest, "hv1", "hv2")
        site.wait_there(guest, "hv1")
        echo.wait_heard("after the refusal")
        assert "error" not in site.migrate(guest, "hv1", "hv2")
        site.wait_there(guest, "hv2")
        echo.wait_heard("after the move")


def test_a_refused_associate_raises_an_alarm_and_the_way_back_clears_it(site: HypervisorSite, boot: Boot) -> None:
    guest = boot("hv1")
    with site.slow_migration(guest, "hv1", "hv2") as virsh, without_gates("s2"):
        assert "error" not in site.finish(guest, "hv1", virsh)
        (alarm,) = wait_until(lambda: alarms(site, "vdp.refusal_ignored"), "alarm")
        assert (alarm["vsi"], alarm["severity"]) == (guest.uuid, "critical")
        assert site.hosts["hv2"].domain_state(guest.name) == "running"
        with pytest.raises(CommandError):
            site.client.namespace.run("ping", "-c", "3", "-i", "0.2", "-W", "1", guest.ip)
    assert "error" not in site.migrate(guest, "hv2", "hv1")
    site.wait_there(guest, "hv1")
    assert not alarms(site, "vdp.refusal_ignored")
    with GuestStream(site.client.namespace, guest.ip, ECHO) as echo:
        echo.wait_heard("after the way back")


def test_a_migration_that_is_aborted_leaves_nothing_and_the_next_succeeds(site: HypervisorSite, boot: Boot) -> None:
    guest = boot("hv1")
    with GuestStream(site.client.namespace, guest.ip, ECHO) as echo:
        with site.slow_migration(guest, "hv1", "hv2") as virsh:
            site.hosts["hv1"].virsh("domjobabort", guest.name)
            output, _ = virsh.communicate(timeout=LONG)
            assert b"aborted" in output or b"cancel" in output, output
        site.wait_there(guest, "hv1")
        echo.wait_heard("after the abort")
        assert "error" not in site.migrate(guest, "hv1", "hv2")
        site.wait_there(guest, "hv2")
        echo.wait_heard("after the move")


def test_a_libvirtd_that_is_late_at_the_source_does_not_take_its_guest_back(site: HypervisorSite, boot: Boot) -> None:
    guest = boot("hv1")
    with GuestStream(site.client.namespace, guest.ip, ECHO) as echo:
        virsh = site.hosts["hv1"].start_virsh(*site.migration(guest, "hv1", "hv2"))
        wait_until(lambda: site.places(guest).get("hv2") == "active", "active at the destination", LONG, pause=0.005)
        with site.hosts["hv1"].libvirtd_stopped():
            time.sleep(0.4)  # the fault itself
        output, _ = virsh.communicate(timeout=LONG)
        assert b"error" not in output, output
        site.wait_there(guest, "hv2")
        echo.wait_heard("after the move")
        assert "error" not in site.migrate(guest, "hv2", "hv1")
        site.wait_there(guest, "hv1")
        echo.wait_heard("after the way back")


def test_a_controller_that_dies_after_a_move_knows_the_guest_when_it_is_back(site: HypervisorSite, boot: Boot) -> None:
    guest = boot("hv1")
    with GuestStream(site.client.namespace, guest.ip, ECHO) as echo:
        assert "error" not in site.migrate(guest, "hv1", "hv2")
        site.wait_there(guest, "hv2")
        site.controller.kill()
        echo.wait_heard("without a controller")
        site.restart_controller()
        site.wait_there(guest, "hv2")
        assert "error" not in site.migrate(guest, "hv2", "hv1")
        site.wait_there(guest, "hv1")
        echo.wait_heard("after the way back")


def test_a_controller_that_dies_during_the_copy_is_back_before_the_associate(site: HypervisorSite, boot: Boot) -> None:
    guest = boot("hv1")
    with GuestStream(site.client.namespace, guest.ip, ECHO) as echo:
        with site.slow_migration(guest, "hv1", "hv2") as virsh:
            site.controller.kill()
            echo.wait_heard("without a controller")
            site.restart_controller()
            assert "error" not in site.finish(guest, "hv1", virsh)
        site.wait_there(guest, "hv2")
        echo.wait_heard("after the move")


def test_without_a_controller_a_migration_is_aborted_and_a_new_lldpad_cures_the_destination(
    site: HypervisorSite, boot: Boot
) -> None:
    guest = boot("hv1")
    with GuestStream(site.client.namespace, guest.ip, ECHO) as echo:
        site.controller.kill()
        assert "error" in site.migrate(guest, "hv1", "hv2")
        echo.wait_heard("without a controller")
        site.restart_controller()
        site.hosts["hv2"].restart_lldpad()
        site.controller.wait_agreed(2)
        site.wait_there(guest, "hv1")
        assert "error" not in site.migrate(guest, "hv1", "hv2")
        site.wait_there(guest, "hv2")
        echo.wait_heard("after the move")
