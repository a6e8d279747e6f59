"""Kinds of faults of a cluster of bridges and of their store, which the nemesis draws like those of ``kinds``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from ryu_apps.evb.event_catalogue.cluster import LeadEnded, LeaderMissing
from ryu_apps.testbed.faults import kinds
from ryu_apps.testbed.faults.kinds import Scene, named
from ryu_apps.testbed.faults.members import LIMIT, Member, MembersRig
from ryu_apps.testbed.faults.proxy import MessageKind, Trap
from ryu_apps.testbed.harness.shell import wait_until

#: Seconds from the requests of stations until something fails.
_MOMENTS = (0.0, 0.01, 0.05, 0.2, 0.6)
#: Messages of the leader that are held when it dies; None: none.
_HELD = (None, MessageKind.CHANGE, MessageKind.CONFIRMATION, MessageKind.VDP_ANSWER)


# --- members ---
def leader_killed(scene: Scene) -> Iterator[None]:
    yield from _killed(scene, 0)


def leader_and_standby_killed(scene: Scene) -> Iterator[None]:
    yield from _killed(scene, 1)


def _killed(scene: Scene, standbys: int) -> Iterator[None]:
    """While the leader holds something back, or at once."""
    rig = _prepared(scene, standbys + 1)
    held = scene.draw.choice(_HELD)
    dying = [rig.leader, *scene.draw.sample(rig.standbys, standbys)]
    if held is not None:
        rig.leader.proxy.set(Trap((held,), copies=0))
    yield
    _pass_a_moment(scene)
    for member in dying:
        rig.kill(member)
        member.proxy.clear()
    rig.await_leader(*dying)
    for member in dying:
        rig.start(member)


def standby_killed(scene: Scene) -> Iterator[None]:
    rig = _prepared(scene)
    standby = scene.draw.choice(rig.standbys)
    rig.kill(standby)
    yield
    scene.wait_answered()
    rig.start(standby)


def leader_stopped(scene: Scene) -> Iterator[None]:
    """It has requests unread when it wakes up, or was about to answer."""
    rig = _prepared(scene)
    yield from _during(scene, rig.stopped(rig.leader), partial(rig.await_leader, rig.leader))


def standby_stopped(scene: Scene) -> Iterator[None]:
    rig = _prepared(scene)
    yield from _during(scene, rig.stopped(scene.draw.choice(rig.standbys)), rig.await_leader)


def leader_cut_from_store(scene: Scene) -> Iterator[None]:
    yield from _cut_off(scene, Member.cut_from_store)


def leader_cut_from_switches(scene: Scene) -> Iterator[None]:
    yield from _cut_off(scene, Member.cut_from_switches)


def leader_cut_from_both(scene: Scene) -> Iterator[None]:
    yield from _cut_off(scene, Member.cut_from_store, Member.cut_from_switches)


def _cut_off(scene: Scene, *ways: Callable[[Member], None]) -> Iterator[None]:
    rig = _prepared(scene)
    yield from _during(scene, _cut(rig.leader, ways), partial(rig.await_leader, rig.leader))


@contextmanager
def _cut(member: Member, ways: tuple[Callable[[Member], None], ...]) -> Iterator[None]:
    for way in ways:
        way(member)
    try:
        yield
    finally:
        member.heal()


def lead_transferred(scene: Scene) -> Iterator[None]:
    rig = _prepared(scene)
    yield
    _pass_a_moment(scene)
    _transfer(rig)


def members_restarted(scene: Scene) -> Iterator[None]:
    """As in an upgrade: the standbys first, then the former leader."""
    rig = _prepared(scene, 2)
    yield
    for standby in rig.standbys:
        _restart(rig, standby)
    former = rig.leader
    _transfer(rig)
    _restart(rig, former)


def _restart(rig: MembersRig, member: Member) -> None:
    member.alive = False
    member.controller.stop()
    rig.start(member)
    rig.await_standbys()


def _transfer(rig: MembersRig) -> None:
    since, former = time.monotonic(), rig.leader
    former.controller.post("/evb/cluster/transfer", {})
    wait_until(lambda: _lost_the_lead(former, since), f"the end of the lead of {former.name}", LIMIT)
    rig.await_leader()


def _lost_the_lead(member: Member, since: float) -> bool:
    events = member.controller.get(f"/evb/events?since={since}")
    return any(event["kind"] == LeadEnded.row.kind for event in events)


# --- the store ---
def store_server_lost(scene: Scene) -> Iterator[None]:
    rig = _prepared(scene)
    yield from _during(scene, _without(rig, scene.draw.sample(_servers(rig), 1)), rig.await_leader)
    rig.await_leader()


def store_majority_lost(scene: Scene) -> Iterator[None]:
    rig = _prepared(scene)

    def no_leader() -> None:
        wait_until(lambda: not rig.leaders() and all(map(_misses_a_leader, rig.members)), "no leader", LIMIT)

    yield from _during(scene, _without(rig, scene.draw.sample(_servers(rig), 2)), no_leader, answered=False)
    rig.await_leader()


def store_leader_stopped(scene: Scene) -> Iterator[None]:
    """The other servers elect another leader; it finds that it is one no more when it wakes up."""
    rig = _prepared(scene)
    former = rig.servers.leader()
    others = tuple(server for server in _servers(rig) if server != former)

    def replaced() -> None:
        rig.servers.leader(others)
        rig.await_leader()

    yield from _during(scene, _paused(rig, former), replaced)


def _servers(rig: MembersRig) -> range:
    return range(len(rig.servers.remotes))


@contextmanager
def _without(rig: MembersRig, lost: list[int]) -> Iterator[None]:
    for server in lost:
        rig.servers.kill(server)
    try:
        yield
    finally:
        for server in lost:
            rig.servers.start_server(server)


@contextmanager
def _paused(rig: MembersRig, server: int) -> Iterator[None]:
    rig.servers.pause(server)
    try:
        yield
    finally:
        rig.servers.go_on(server)


def _misses_a_leader(member: Member) -> bool:
    return not member.alive or LeaderMissing.row.kind in member.alarms()


# --- what they have in common ---
def _prepared(scene: Scene, standbys: int = 1) -> MembersRig:
    """The rig, with so many members at least that are ready to take over."""
    assert isinstance(scene.rig, MembersRig), "these are faults of a cluster of bridges"
    scene.rig.await_standbys(enough=standbys)
    return scene.rig


def _during(
    scene: Scene, fault: AbstractContextManager[None], lasts_until: Callable[[], object], answered: bool = True
) -> Iterator[None]:
    """A fault that begins before the requests of stations or behind them.

    Args:
        lasts_until: waits for what the fault leads to.
        answered: requests may be answered before it is lifted.
    """
    early = scene.draw.choice((True, False))
    if not early:
        yield
        _pass_a_moment(scene)
    with fault:
        if early:
            yield
        lasts_until()
        if answered:
            scene.wait_answered()


def _pass_a_moment(scene: Scene) -> None:
    time.sleep(scene.draw.choice(_MOMENTS))


#: Of bridges and store.
OF_MEMBERS = named(
    leader_killed,
    leader_and_standby_killed,
    standby_killed,
    leader_stopped,
    standby_stopped,
    leader_cut_from_store,
    leader_cut_from_switches,
    leader_cut_from_both,
    lead_transferred,
    members_restarted,
    store_server_lost,
    store_majority_lost,
    store_leader_stopped,
)
#: What else can break where three bridges are.
_BESIDE = (
    kinds.no_fault,
    kinds.frames_lost,
    kinds.frames_doubled,
    kinds.frames_late,
    kinds.switch_slow,
    kinds.station_killed,
    kinds.link_flap,
    kinds.operator_recall,
    kinds.guest_flood,
    kinds.flows_deleted,
    kinds.groups_deleted,
    kinds.meters_deleted,
)
MEMBER_FAULTS = OF_MEMBERS | named(*_BESIDE)
