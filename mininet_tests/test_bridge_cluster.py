"""Three bridges with one store of three servers: the leader dies, stops, or is cut off, and another one leads.

Bystanders have traffic all the time and lose nothing; no VSI is active at two ports; no rule is left behind.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from mininet_tests.conftest import every_other
from ryu_apps.testbed.faults.members import LIMIT, Member, MembersRig
from ryu_apps.testbed.faults.proxy import MessageKind, Trap
from ryu_apps.testbed.faults.rig import RigVm, port_of
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

EVBRIDGE = str(Path(sys.executable).parent / "evbridge")
VM = RigVm("member", 71)
HOME, AWAY = "hv1", "hv5"
#: Longer than by default: where much else runs, a leader is often late, and it is not that which is tested here.
PATIENCE = 2.0
QUICK, SAFE = RigVm("swift", 72), RigVm("sure", 73)
ROADS = {QUICK: ("hv1", "hv5"), SAFE: ("hv6", "hv2")}
LADDERS = {
    QUICK: ((1, VdptoolMode.PREASSOCIATE_RR), (1, VdptoolMode.ASSOCIATE)),
    SAFE: ((1, VdptoolMode.PREASSOCIATE_RR), (0, VdptoolMode.DEASSOCIATE), (1, VdptoolMode.ASSOCIATE)),
}
#: What is held when the leader dies; None: nothing.
POINTS = {
    "nothing has been sent to the switches": (MessageKind.CHANGE,),
    "the switches have confirmed in vain": (MessageKind.CONFIRMATION,),
    "the answer is written but not sent": (MessageKind.VDP_ANSWER,),
    "the step is done": None,
}


@pytest.fixture(scope="module")
def members_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MembersRig]:
    with inside(), MembersRig(tmp_path_factory.mktemp("members"), patience=PATIENCE, apart=True) as rig:
        yield rig
        rig.write("bridge-cluster")


@pytest.fixture
def rig(members_rig: MembersRig) -> Iterator[MembersRig]:
    """All members run, and all but the leader stand by."""
    members_rig.await_standbys()
    yield members_rig
    repair(members_rig)


@pytest.fixture
def rig_with_a_standby(members_rig: MembersRig) -> Iterator[MembersRig]:
    """One member leads and another one stands by; the third may not have come up yet."""
    members_rig.await_standbys(enough=1)
    yield members_rig
    repair(members_rig)


def repair(rig: MembersRig) -> None:
    """After a test, also one that failed: all members run, nothing is cut, and no VM is left."""
    for member in rig.members:
        member.heal()
        if not member.alive:
            rig.start(member)
    rig.await_leader()
    rig.tidy(VM, *ROADS)


def move(rig: MembersRig, source: str, target: str) -> None:
    rig.admit(VM, target)
    assert_moved(rig, source, target)


def move_with_slow_store(rig: MembersRig, source: str, target: str) -> None:
    """A bridge that waits for its store longer than a station may wait refuses, and is asked again."""

    def admitted() -> bool:
        steps = (VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE)
        answers = (rig.answered(target, mode, VM).answer for mode in steps)
        return all(answer is not None and answer.success for answer in answers)

    wait_until(admitted, f"{VM.name} to be admitted at {target}", LIMIT)
    assert_moved(rig, source, target)


def assert_moved(rig: MembersRig, source: str, target: str) -> None:
    wait_until(lambda: not rig.holds(source, VM), "the source to let go", LIMIT)
    assert rig.places(VM) == [target]


def assert_follows(rig: MembersRig, former: Member) -> None:
    """A former leader is a standby of the present one, without a restart."""

    def follows() -> bool:
        # Where much else runs, a leader may be late, and another one leads meanwhile.
        leader = rig.await_leader()
        return leader is not former and former.stands_by and former.cluster().get("leader") == leader.name

    wait_until(follows, f"{former.name} stands by", LIMIT)


def test_leader_that_was_stopped_touches_nothing_and_answers_nobody(rig: MembersRig) -> None:
    rig.admit(VM, HOME)
    former = rig.leader
    with rig.unharmed("SIGSTOP and SIGCONT of the leader, a VM moves meanwhile") as times:
        begun = time.monotonic()
        with rig.stopped(former):
            # Asked while it is stopped: it has the request unread when it wakes up.
            rig.ask(HOME, VdptoolMode.ASSOCIATE, VM)
            rig.await_leader(former)
            times["another one leads"] = time.monotonic() - begun
            move(rig, HOME, AWAY)
            before, since = rig.tables(), time.monotonic()
        assert_follows(rig, former)
        assert rig.tables() == before
        assert rig.places(VM) == [AWAY]
        assert rig.answers(HOME, VM, since) == []
        events = {event["kind"] for event in former.controller.get(f"/evb/events?since={since}")}
        assert "lead.ended" in events
        assert events.isdisjoint({"vdp.response", "flow.staged", "vsi.active"})
        assert former.cluster()["lost"] >= 1


@pytest.mark.parametrize("away", ["the store", "the switches", "both"])
def test_leader_that_is_cut_off_is_replaced(rig: MembersRig, away: str) -> None:
    rig.admit(VM, HOME)
    former = rig.leader
    with rig.unharmed(f"the leader is cut off from {away}") as times:
        begun = time.monotonic()
        if away != "the switches":
            former.cut_from_store()
        if away != "the store":
            former.cut_from_switches()
        rig.await_leader(former)
        times["another one leads"] = time.monotonic() - begun
        assert not former.leads
        move(rig, HOME, AWAY)
        since = time.monotonic()
        if away != "the switches":
            wait_until(lambda: "lead.missing" in former.alarms(), "an alarm of who is cut off", LIMIT)
        former.heal()
        assert_follows(rig, former)
        wait_until(lambda: "lead.missing" not in former.alarms(), "the end of the alarm", LIMIT)
        assert rig.places(VM) == [AWAY]
        assert rig.answers(HOME, VM, since) == []


@pytest.mark.parametrize("which", ["leader", "follower"])
def test_one_server_of_the_store_is_lost(rig: MembersRig, which: str) -> None:
    rig.admit(VM, HOME)
    raft_leader = rig.servers.leader()
    lost = raft_leader if which == "leader" else (raft_leader + 1) % 3
    with rig.unharmed(f"one server of the store is killed: the {which}") as times:
        begun = time.monotonic()
        rig.servers.kill(lost)
        times["answered"] = rig.until_answered(HOME, VM) - begun
        rig.await_leader()
        move_with_slow_store(rig, HOME, AWAY)
        rig.servers.start_server(lost)
        rig.await_standbys()
        assert rig.places(VM) == [AWAY]


def test_two_servers_of_the_store_are_lost_and_nothing_is_promised(rig: MembersRig) -> None:
    rig.admit(VM, HOME)
    lost = (rig.servers.leader(), (rig.servers.leader() + 1) % 3)
    with rig.unharmed("two servers of the store are killed") as times:
        before = rig.tables()
        for server in lost:
            rig.servers.kill(server)
        for member in rig.members:
            wait_until(lambda told=member: "lead.missing" in told.alarms(), "an alarm", LIMIT)  # type: ignore[misc]
        assert rig.leaders() == []
        since = time.monotonic()
        rig.ask(AWAY, VdptoolMode.PREASSOCIATE_RR, VM)
        wait_until(lambda: time.monotonic() > since + 3.0, "time to pass", LIMIT)
        assert [message for message in rig.answers(AWAY, VM, since) if message.answer and message.answer.success] == []
        assert rig.tables() == before
        begun = time.monotonic()
        for server in lost:
            rig.servers.start_server(server)
        rig.await_leader()
        times["a leader after the servers are back"] = time.monotonic() - begun
        rig.await_standbys()
        assert all("lead.missing" not in member.alarms() for member in rig.members)
        assert rig.places(VM) == [HOME]


@pytest.mark.parametrize("which", ["leader", pytest.param("follower", marks=pytest.mark.soak)])
def test_one_server_of_the_store_is_cut_off_from_the_others(rig: MembersRig, which: str) -> None:
    """Bridges still reach it: it must not seem to be the store."""
    rig.admit(VM, HOME)
    raft_leader = rig.servers.leader()
    cut = raft_leader if which == "leader" else (raft_leader + 1) % 3
    with rig.unharmed(f"one server of the store is cut off from the others: the {which}") as times:
        begun = time.monotonic()
        rig.servers.cut(cut)
        times["answered"] = rig.until_answered(HOME, VM) - begun
        rig.await_leader()
        move_with_slow_store(rig, HOME, AWAY)
        times["moved"] = time.monotonic() - begun
        rig.servers.join(cut)
        rig.await_standbys()
        assert rig.places(VM) == [AWAY]


def test_servers_of_the_store_are_cut_off_from_each_other_and_nothing_is_promised(rig: MembersRig) -> None:
    rig.admit(VM, HOME)
    with rig.unharmed("the servers of the store are cut off from each other") as times:
        before = rig.tables()
        for server in range(3):
            rig.servers.cut(server)
        for member in rig.members:
            wait_until(lambda told=member: "lead.missing" in told.alarms(), "an alarm", LIMIT)  # type: ignore[misc]
        since = time.monotonic()
        rig.ask(AWAY, VdptoolMode.PREASSOCIATE_RR, VM)
        wait_until(lambda: time.monotonic() > since + 3.0, "time to pass", LIMIT)
        assert [message for message in rig.answers(AWAY, VM, since) if message.answer and message.answer.success] == []
        assert rig.tables() == before
        begun = time.monotonic()
        for server in range(3):
            rig.servers.join(server)
        times["answered"] = rig.until_answered(HOME, VM) - begun
        rig.await_standbys()
        move(rig, HOME, AWAY)


@pytest.mark.parametrize(("which", "late"), [("all", 0.1), pytest.param("the leader's", 1.0, marks=pytest.mark.soak)])
def test_disks_of_the_store_are_slow(rig: MembersRig, which: str, late: float) -> None:
    rig.admit(VM, HOME)
    slow = range(3) if which == "all" else (rig.servers.leader(),)
    with rig.unharmed(f"each fsync takes {late:g} s longer: {which}") as times:
        with rig.servers.slow_disk(slow, late):
            begun = time.monotonic()
            times["answered"] = rig.until_answered(HOME, VM) - begun
            move_with_slow_store(rig, HOME, AWAY)
            times["moved"] = time.monotonic() - begun
        rig.await_standbys()
        assert rig.places(VM) == [AWAY]


@pytest.mark.parametrize(("number", "point"), every_other(range(3), POINTS, first=1))
def test_migration_goes_on_with_the_next_leader(rig_with_a_standby: MembersRig, number: int, point: str) -> None:
    rig, roads, kinds = rig_with_a_standby, dict(ROADS), POINTS[point]
    moving = [guest for guest in roads if number < len(LADDERS[guest])]
    with rig.restored():
        for guest in moving:
            rig.admit(guest, roads[guest][0])
            for at in range(number):
                go(rig, guest, at)
        former = rig.leader
        with rig.unharmed(f"the leader dies at step {number + 1}: {point}") as times:
            held = [former.proxy.set(Trap(kinds, vsi=None)) if kinds else None for _ in moving[:1]]
            for guest in moving:
                side, mode = LADDERS[guest][number]
                if kinds is None:
                    go(rig, guest, number)
                else:
                    rig.ask(roads[guest][side], mode, guest)
            for trap in held:
                if trap is not None:
                    wait_until(lambda caught=trap: caught.caught, f"messages held: {point}", LIMIT)  # type: ignore[misc]
            begun = rig.kill(former)
            former.proxy.clear()
            rig.await_leader(former)
            times["another one leads"] = time.monotonic() - begun
            for guest in moving:
                for at in range(number, len(LADDERS[guest])):
                    go(rig, guest, at)
            for guest in moving:
                source, target = roads[guest]
                wait_until(lambda at=source, of=guest: not rig.holds(at, of), "the source to let go", LIMIT)  # type: ignore[misc]
                assert rig.places(guest) == [target]
        # It comes up while the next test begins: two are enough, and all tests but these wait for it.
        rig.start(former)
        for guest in moving:
            rig.dismiss(guest, *roads[guest])


def go(rig: MembersRig, guest: RigVm, number: int) -> None:
    """One step of a VM's ladder, until it is done."""
    side, mode = LADDERS[guest][number]
    where = ROADS[guest][side]
    if mode is VdptoolMode.DEASSOCIATE:
        rig.let_go(where, guest)
    else:
        rig.granted(where, mode, guest)


def test_lead_is_transferred_and_every_member_is_restarted_without_a_lost_packet(rig: MembersRig) -> None:
    """A rolling upgrade, as the manual has it."""
    rig.admit(VM, HOME)
    with rig.unharmed("rolling upgrade of three bridges") as times:
        for standby in rig.standbys:
            standby.alive = False
            standby.controller.stop()
            rig.start(standby)
            rig.await_standbys()
        former, successor = rig.leader, rig.standbys[0]
        begun = time.monotonic()
        run([EVBRIDGE, "cluster", "transfer", "--rest", former.url, "--to", successor.name])
        assert rig.await_leader() is successor
        times["transferred"] = time.monotonic() - begun
        assert_follows(rig, former)
        former.alive = False
        former.controller.stop()
        rig.start(former)
        rig.await_standbys()
        assert rig.places(VM) == [HOME]
        move(rig, HOME, AWAY)


def test_standby_answers_reads_of_vsis_refers_the_rest_and_accepts_nothing(rig: MembersRig) -> None:
    rig.admit(VM, HOME)
    standby = rig.standbys[0]

    def known() -> bool:
        vsis = standby.controller.get("/evb/vsis")
        return [vsi["owner"] for vsi in vsis if vsi["vsi"] == VM.vsi.uuid] == [str(port_of(rig, HOME))]

    wait_until(known, "the standby to have the record", LIMIT)
    with urlopen(f"{standby.url}/evb/vsis/{VM.vsi.uuid}") as answer:
        assert answer.url.startswith(standby.url)
        assert 0 <= float(answer.headers["Evbridge-Lag"]) < 5
    # urllib follows the reference of a read, and repeats no change.
    with urlopen(f"{standby.url}/evb/stations") as answer:
        assert answer.url.startswith(rig.leader.url)
    with pytest.raises(HTTPError) as refused:
        standby.controller.delete(f"/evb/vsis/{VM.vsi.uuid}")
    assert refused.value.code == HTTPStatus.TEMPORARY_REDIRECT
    assert rig.places(VM) == [HOME]
    told = rig.leader.cluster()
    assert told["leads"] and told["leader"] == rig.leader.name and told["since"] > 0
    assert {entry["name"] for entry in told["standbys"]} == {member.name for member in rig.standbys}
    assert all(entry["lag"] is not None and entry["lag"] < 5 for entry in told["standbys"])
