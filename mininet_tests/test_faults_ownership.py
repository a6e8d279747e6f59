"""Ownership: old hosts that come back, hosts that never announced themselves, second records of one VSI at one port.

Unmodified lldpad, links that fail, daemons that stop, a controller that is killed in between; in the end the VSI's
present port has it, no other does, and bystanders notice nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import pytest

from mininet_tests.conftest import SHORT
from ryu_apps.evb.protocol.timers import agree
from ryu_apps.evb.wire.association import VdpMode
from ryu_apps.evb.wire.status import VdpError
from ryu_apps.testbed.faults.proxy import MessageKind, Trap
from ryu_apps.testbed.faults.rig import S1, Rig, RigVm
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import LldpadStation, VdptoolMode
from ryu_apps.testbed.short_timers import QUICK

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

VM = RigVm("contended", 51)
HOME, AWAY = "hv1", "hv5"
AGREED = agree(QUICK, QUICK)


@pytest.fixture(scope="module")
def ownership_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with inside(), Rig(tmp_path_factory.mktemp("ownership"), {HOME: QUICK, AWAY: SHORT}) as rig:
        yield rig
        rig.write("ownership")


@pytest.fixture
def rig(ownership_rig: Rig) -> Iterator[Rig]:
    with ownership_rig.restored():
        yield ownership_rig
        ownership_rig.tidy(VM)


def station(rig: Rig, hypervisor: str) -> LldpadStation:
    found = rig.cluster.hypervisors[hypervisor].station
    assert isinstance(found, LldpadStation)
    return found


@contextmanager
def link_down(rig: Rig, hypervisor: str) -> Iterator[None]:
    """As seen from the hypervisor: its uplink has no carrier, and comes back."""
    one = station(rig, hypervisor)
    since = time.monotonic()
    one.namespace.ip(f"link set {one.interface} down")
    try:
        wait_until(lambda: rig.events(since, "port.down"), "the port to be seen down")
        yield
    finally:
        one.namespace.ip(f"link set {one.interface} up")


@contextmanager
def daemon_stopped(rig: Rig, hypervisor: str) -> Iterator[None]:
    with station(rig, hypervisor).stopped():
        yield


def unheard(rig: Rig) -> None:
    """The station at home has not been heard for a keep-alive timeout."""
    wait_until(lambda: rig.places(VM) == [], "the VSI to expire at home")


def restart(rig: Rig) -> None:
    rig.controller.kill()
    rig.restart()


def kept_alive(rig: Rig, hypervisor: str, count: int) -> None:
    """So many more keep-alives of the station there have been answered with success."""
    since = time.monotonic()

    def answered() -> int:
        found = rig.answers(hypervisor, VM, since)
        refused = [message for message in found if message.answer is None or not message.answer.success]
        assert not refused, (refused, [event["detail"] for event in rig.events(since, "vdp.announce", VM)])
        return len(found)

    wait_until(lambda: answered() >= count, "keep-alives")


Failure = Callable[[Rig, str], AbstractContextManager[None]]


@pytest.mark.parametrize("failure", [link_down, daemon_stopped])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "unannounced"])
def test_old_host_that_comes_back_does_not_get_the_vm(rig: Rig, failure: Failure, announced: bool) -> None:
    what = failure.__name__.replace("_", " ")
    with rig.unharmed(f"{what} at the old host, VM associated elsewhere, old host back"):
        rig.admit(VM, HOME)
        with failure(rig, HOME):
            if announced:
                rig.admit(VM, AWAY)
            else:
                unheard(rig)
                rig.granted(AWAY, VdptoolMode.ASSOCIATE, VM)
            kept_alive(rig, AWAY, 1)
            if failure is link_down:
                restart(rig)
                wait_until(lambda: rig.places(VM) == [AWAY], "the VM to be there after the restart")
        wait_until(lambda: not rig.holds(HOME, VM), "the old host to let go")
        kept_alive(rig, AWAY, 1)
        assert rig.holds(AWAY, VM) and rig.places(VM) == [AWAY]
    rig.let_go(AWAY, VM)


def test_host_that_did_not_announce_itself_is_refused_while_the_vm_lives_elsewhere(rig: Rig) -> None:
    with rig.unharmed("Associate elsewhere without Pre-Associate"):
        rig.admit(VM, HOME)
        since = time.monotonic()
        kept_alive(rig, HOME, 1)
        refused = rig.answered(AWAY, VdptoolMode.ASSOCIATE, VM)
        assert refused.answer is not None and refused.answer.error is VdpError.INSUFFICIENT_RESOURCES
        (contested,) = rig.events(since, "vsi.contested", VM)
        assert contested["detail"]["owner"] != contested["detail"]["claimant"]
        kept_alive(rig, HOME, 2)
        assert not rig.holds(AWAY, VM) and rig.places(VM) == [HOME]
        wait_until(lambda: rig.events(since, "vsi.settled", VM), "the quarrel to be over")
        rig.admit(VM, AWAY)
        assert rig.places(VM) == [AWAY]


def test_vm_of_a_dead_host_starts_elsewhere_without_announcement(rig: Rig) -> None:
    with rig.unharmed("host dead, VM started elsewhere without Pre-Associate") as times:
        rig.admit(VM, HOME)
        kept_alive(rig, HOME, 1)
        station(rig, HOME).kill()
        try:
            begun = time.monotonic()
            rig.granted(AWAY, VdptoolMode.ASSOCIATE, VM)
            times["granted after the host died"] = time.monotonic() - begun
            assert rig.places(VM) == [AWAY]
        finally:
            station(rig, HOME).start()
        station(rig, HOME).wait_ready()


# --- two records of one VSI at one port ---
@pytest.mark.parametrize("mode", [VdptoolMode.ASSOCIATE, VdptoolMode.PREASSOCIATE_RR])
def test_refused_request_for_another_type_leaves_the_one_in_force(rig: Rig, mode: VdptoolMode) -> None:
    with rig.unharmed(f"refused {mode.value} for another type of a VSI that is associated"):
        rig.admit(VM, HOME)
        since = time.monotonic()
        before = rig.tables()
        other = replace(VM.vsi, version=9).arguments(mode)
        home = station(rig, HOME)
        home.namespace.run("vdptool", "-i", home.interface, "-T", *other)

        def refusal() -> bool:
            found = [
                message.answer
                for message in rig.answers(HOME, VM, since)
                if message.answer and not message.answer.success
            ]
            assert all(answer.keep and answer.hard for answer in found)
            return bool(found)

        wait_until(refusal, "the refusal")

        def still() -> bool:
            asked = [message for message in rig.messages(HOME, VM, since) if message.from_station]
            # lldpad takes Keep for associated, and gives the second record up when its keep-alive is refused.
            return len(asked) >= 5

        wait_until(still, "keep-alives of both records")
        assert not rig.events(since, "vdp.announce", VM) and not rig.events(since, "vsi.gone", VM)
        assert rig.holds(HOME, VM) and rig.places(VM) == [HOME] and rig.tables() == before
    rig.let_go(HOME, VM)


def test_vm_taken_off_is_not_revived_by_the_record_of_another_manager(rig: Rig) -> None:
    with rig.unharmed("two managers of one VM at one port, then DELETE"):
        rig.admit(VM, HOME)
        other = replace(VM.vsi, manager="vcm2")
        assert station(rig, HOME).request(VdptoolMode.ASSOCIATE, other).granted
        since = time.monotonic()
        rig.recall(VM)
        wait_until(lambda: not rig.holds(HOME, VM), "lldpad to hold none of both")
        assert rig.places(VM) == []
        # Longer than the reinit keep alive: what lldpad held would have been said again.
        wait_until(lambda: time.monotonic() > since + 2 * AGREED.keep_alive_timeout, "time to pass")
        assert not rig.events(since, "vsi.active", VM) and rig.known(VM) is None


def test_vm_taken_off_while_its_switch_is_away_stays_off(rig: Rig) -> None:
    with rig.unharmed("DELETE while the channel of the switch is cut"):
        rig.admit(VM, HOME)
        rig.proxy.cut(S1, bar=True)
        wait_until(lambda: not _connected(rig, S1), "the switch to be away")
        since = time.monotonic()
        taken = rig.controller.delete(f"/evb/vsis/{VM.vsi.uuid}")
        assert (taken["gone"], taken["away"]) == (False, ["s1"])
        assert rig.places(VM) == [HOME], "its rules are still there"
        rig.proxy.admit()
        wait_until(lambda: _connected(rig, S1), "the switch to be back")
        wait_until(lambda: rig.places(VM) == [] and not rig.holds(HOME, VM), "the VM to be off")
        assert rig.known(VM) is None and not rig.events(since, "vsi.active", VM)


def test_keep_alive_that_crosses_the_de_associate_of_an_operator_revives_nothing(rig: Rig) -> None:
    with rig.unharmed("DELETE, its De-Associate lost"):
        rig.admit(VM, HOME)
        lost = rig.proxy.set(Trap((MessageKind.VDP_ANSWER,), S1, VM.vsi.uuid))
        since = time.monotonic()
        rig.recall(VM)
        wait_until(lambda: len(lost.caught) >= AGREED.transmissions, "the De-Associate to be given up")
        rig.proxy.clear()
        wait_until(lambda: not rig.holds(HOME, VM), "the station to let go")
        said = [message for message in rig.answers(HOME, VM, since) if message.mode is VdpMode.DEASSOCIATE]
        assert said and rig.known(VM) is None and not rig.events(since, "vsi.active", VM)


def _connected(rig: Rig, dpid: int) -> bool:
    switches = rig.controller.get("/evb/status")["switches"]
    return next(switch["readiness"] for switch in switches if int(switch["dpid"], 16) == dpid) == "ready"
