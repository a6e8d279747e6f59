"""Fault 7: the disk with the state is full, or read-only.  New promises are refused, what was promised is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from ryu_apps.evb.wire.status import VdpError
from ryu_apps.testbed.faults.rig import BRISK, Rig, RigVm
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

OLD, NEW = RigVm("old", 51), RigVm("new", 52)
HOME, AWAY = "hv1", "hv5"
#: Its station waits for its answer for as long as a controller takes to come back twice.
LASTING = "hv2"
#: What its station does not repeat expires after 4 s.
BRIEF = "hv6"


@pytest.fixture(scope="module")
def state_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("faults")
    with inside():
        (folder / "state").mkdir()
        run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder / "state")])
        with Rig(folder, {LASTING: replace(BRISK, rwd=21), BRIEF: replace(BRISK, rka=18)}) as rig:
            yield rig
            rig.write("state")


@pytest.fixture
def rig(state_rig: Rig) -> Iterator[Rig]:
    with state_rig.restored():
        yield state_rig
        state_rig.tidy(OLD, NEW)


@contextmanager
def full(rig: Rig) -> Iterator[None]:
    """Somebody else has written the disk full."""
    ballast = rig.state_dir / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):  # noqa: PT012
            while True:
                file.write(bytes(1024))
        yield
    finally:
        ballast.unlink()


@contextmanager
def read_only(rig: Rig) -> Iterator[None]:
    """The file system was mounted read-only while the controller was down, as after an error."""
    remount(rig, "ro")
    try:
        yield
    finally:
        remount(rig, "rw")


def remount(rig: Rig, how: str) -> None:
    rig.controller.kill()
    run(["mount", "-o", f"remount,{how}", str(rig.state_dir)])
    rig.restart()


@pytest.mark.parametrize("broken", [full, read_only])
def test_disk_that_takes_nothing_costs_new_promises_and_nothing_else(
    rig: Rig, broken: Callable[[Rig], contextmanager[None]]
) -> None:
    rig.admit(OLD, LASTING)
    before = rig.tables()
    with rig.unharmed(f"state directory {broken.__name__.replace('_', '-')}") as times:
        since = time.monotonic()
        with broken(rig):
            for mode in (VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE):
                refused = rig.answered(AWAY, mode, NEW)
                assert refused.answer is not None and refused.answer.error is VdpError.INSUFFICIENT_RESOURCES
            assert rig.events(since, "store.failed")
            assert "store.failed" in rig.alarms(), "no alarm"
            wait_until(lambda: rig.tables() == before, "nothing left of the refused")
            assert rig.places(OLD) == [LASTING] and rig.holds(LASTING, OLD)
        begun = time.monotonic()
        # The bridge tries by itself; a restart has nothing to say of it.
        wait_until(lambda: "store.failed" not in rig.alarms(), "the alarm to be over")
        rig.admit(NEW, AWAY)
        times["promises again"] = time.monotonic() - begun


def test_vsi_released_while_the_disk_was_full_does_not_come_back(rig: Rig) -> None:
    rig.admit(OLD, BRIEF)
    with rig.unharmed("De-Associate while the disk is full, then the controller killed"):
        with full(rig):
            rig.dismiss(OLD, BRIEF)
        rig.controller.kill()
        rig.restart()
        wait_until(lambda: rig.known(OLD) is None, "what came back to expire", 25)
        assert rig.places(OLD) == []


def test_lost_state_costs_no_vm_its_network_however_often_the_controller_dies(state_rig: Rig) -> None:
    """Indices are new ones afterwards, so the tables are not compared by line, here and in what follows.

    A station whose keep-alive went out in vain drops its VSI; that is not waited for.
    """
    rig = state_rig
    rig.admit(OLD, HOME)
    with rig.unharmed("state emptied, then removed; after each the controller killed again at once") as times:
        for keep in (True, False):
            rig.controller.kill()
            rig.lose_state(keep)
            for _ in range(2):
                times[f"ready, state {'emptied' if keep else 'removed'}"] = rig.restart()
                rig.controller.kill()
                assert rig.places(OLD) == [HOME]
        rig.restart()
        assert rig.places(OLD) == [HOME] and len(alarms(rig, "switch.unclaimed")) == 2
    rig.granted(HOME, VdptoolMode.ASSOCIATE, OLD)
    assert rig.places(OLD) == [HOME]


def test_old_host_that_speaks_first_after_the_state_was_lost_does_not_get_the_vm(state_rig: Rig) -> None:
    """A loss of the state leaves the rules in the switches.  A station that sends later only makes this easier."""
    rig = state_rig
    rig.dismiss(OLD, HOME, AWAY)
    home = rig.cluster.hypervisors[HOME]
    rig.admit(OLD, HOME)
    home.namespace.ip(f"link set {home.uplink} down")
    try:
        rig.admit(OLD, AWAY)
        rig.controller.kill()
        rig.lose_state(keep=False)
        rig.restart()
    finally:
        home.namespace.ip(f"link set {home.uplink} up")
    wait_until(lambda: not rig.holds(HOME, OLD), "the old host to let go", 30)
    assert rig.places(OLD) == [AWAY]
    rig.granted(AWAY, VdptoolMode.ASSOCIATE, OLD)
    assert rig.places(OLD) == [AWAY]
    rig.dismiss(OLD, HOME, AWAY)


def alarms(rig: Rig, kind: str) -> list[object]:
    return [alarm for alarm in rig.controller.get("/evb/status")["alarms"] if alarm["kind"] == kind]
