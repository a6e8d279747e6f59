"""Kinds of faults that the nemesis draws: each takes effect when entered and is lifted on leaving."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from ryu_apps.evb.event_catalogue.switches import SwitchChangedByOthers, SwitchReady
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.testbed.faults import hostile
from ryu_apps.testbed.faults.proxy import MessageKind, Trap
from ryu_apps.testbed.faults.rig import AT_S1, AT_S2, HOMES, S1, S2, Rig, RigVm
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode

#: TCP ports of the controller behind the proxy, and of its REST interface.
OPENFLOW, REST = 6654, 8080


@dataclass(slots=True)
class Scene:
    """Parts of the cluster that a fault acts on.

    Attributes:
        draw: what is left open is drawn from it.
        guests: VMs that roam.
        places: hypervisors where they do.
        wait_answered: lets what was asked be dealt with while the fault lasts, as long as a station would wait.
        lost_state: whether the bridge has forgotten all indices, so that rules are not what they were to the letter.
    """

    rig: Rig
    draw: random.Random
    guests: tuple[RigVm, ...]
    places: tuple[str, ...]
    wait_answered: Callable[[], None]
    lost_state: bool = False


Fault = Callable[[Scene], Iterator[None]]


# --- the cluster itself ---
def no_fault(scene: Scene) -> Iterator[None]:
    yield


def controller_killed(scene: Scene) -> Iterator[None]:
    """While it holds something back, or at once."""
    kind = scene.draw.choice([None, MessageKind.CHANGE, MessageKind.CONFIRMATION, MessageKind.VDP_ANSWER])
    if kind is not None:
        scene.rig.proxy.set(Trap((kind,), copies=0))
    yield
    scene.rig.controller.kill()
    scene.rig.proxy.clear()
    scene.rig.restart()


def channel_cut(scene: Scene) -> Iterator[None]:
    dpids = scene.draw.choice([(S1,), (S2,), (S1, S2)])
    scene.rig.proxy.cut(*dpids, bar=True)
    yield
    scene.rig.proxy.admit()


def channel_silent(scene: Scene) -> Iterator[None]:
    dpid = scene.draw.choice((S1, S2))
    since = time.monotonic()
    scene.rig.proxy.strand(dpid)
    yield
    # A switch without a channel keeps its rules, whatever is decided meanwhile.
    wait_until(lambda: scene.rig.events(since, SwitchReady.row.kind), "a new channel", 20)


def frames_lost(scene: Scene) -> Iterator[None]:
    yield from _trapped(scene, Trap((_frame(scene),), times=scene.draw.randint(1, 6)))


def frames_doubled(scene: Scene) -> Iterator[None]:
    yield from _trapped(scene, Trap((_frame(scene),), copies=2, times=20))


def frames_late(scene: Scene) -> Iterator[None]:
    delay = scene.draw.choice((0.005, 0.03, 0.3, 2.5))
    yield from _trapped(scene, Trap((_frame(scene),), copies=1, delay=delay, times=6))


def switch_slow(scene: Scene) -> Iterator[None]:
    dpid = scene.draw.choice((S1, S2))
    yield from _trapped(
        scene, Trap((MessageKind.CHANGE,), dpid, copies=1, slow=scene.draw.choice((0.01, 0.1)), times=20)
    )


def station_killed(scene: Scene) -> Iterator[None]:
    station = scene.rig.cluster.hypervisors[scene.draw.choice(scene.places)].station
    yield
    station.kill()
    station.start()
    station.wait_ready()


def link_flap(scene: Scene) -> Iterator[None]:
    port = scene.rig.cluster.hypervisors[scene.draw.choice(scene.places)].port
    yield
    for state in ("down", "up"):
        since = time.monotonic()
        run(["ip", "link", "set", f"s{port.dpid}-eth{port.port_no}", state])
        wait_until(partial(scene.rig.events, since, f"port.{state}"), f"port {state}", 5)


def operator_recall(scene: Scene) -> Iterator[None]:
    yield
    for guest in scene.guests:
        scene.rig.recall(guest)


def _frame(scene: Scene) -> MessageKind:
    return scene.draw.choice(
        [MessageKind.VDP_REQUEST, MessageKind.VDP_ANSWER, MessageKind.STATION_ACK, MessageKind.BRIDGE_ACK]
    )


def _trapped(scene: Scene, trap: Trap) -> Iterator[None]:
    """Only roamers' stations are meant; their timers are the quick ones."""
    proxy = scene.rig.proxy
    proxy.set(trap)
    yield
    scene.wait_answered()
    proxy.clear()


# --- the controller ---
def controller_stopped(scene: Scene) -> Iterator[None]:
    """Up to three times as long as the shortest keep-alive timeout."""
    pid = scene.rig.controller.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
        time.sleep(scene.draw.choice((0.3, 2.5, 6.0)))
    finally:
        os.kill(pid, signal.SIGCONT)


def state_removed(scene: Scene) -> Iterator[None]:
    yield from _state_lost(scene, keep=False)


def state_emptied(scene: Scene) -> Iterator[None]:
    yield from _state_lost(scene, keep=True)


def _state_lost(scene: Scene, keep: bool) -> Iterator[None]:
    """Nothing explains what a station gave up meanwhile: so roamers are nowhere, and bystanders have just repeated."""
    rig = scene.rig
    rig.tidy(*scene.guests)
    wait_until(lambda: not any(rig.known(guest) for guest in scene.guests), "roamers to be forgotten", 40)
    _repeat_bystanders(rig)
    rig.controller.kill()
    rig.lose_state(keep)
    scene.lost_state = True
    rig.restart()
    yield
    _repeat_bystanders(rig)


def _repeat_bystanders(rig: Rig) -> None:
    for guest, home in HOMES.items():
        rig.granted(home, VdptoolMode.ASSOCIATE, guest, limit=20)


# --- others ---
def port_flood(scene: Scene) -> Iterator[None]:
    place = scene.draw.choice(scene.places)
    frames = scene.draw.choice((hostile.unknown_types, hostile.unknown_tlvs))
    source = hostile.station_mac(scene.rig, place)
    with hostile.flooding(scene.rig, place, frames(source), hostile.PUNTED) as flood:
        yield
        wait_until(lambda: flood.sent > 1000, "a flood", 10)
        scene.wait_answered()


def guest_flood(scene: Scene) -> Iterator[None]:
    """From a VM that may or may not be associated there."""
    place, guest = scene.draw.choice(scene.places), scene.draw.choice(scene.guests)
    frames = hostile.guest_frames(mac_from_text(guest.mac), scene.draw)
    with hostile.flooding(scene.rig, place, frames, hostile.FORWARDED) as flood:
        yield
        wait_until(lambda: flood.sent > 500, "a flood", 10)
        scene.wait_answered()


def idle_connections(scene: Scene) -> Iterator[None]:
    with hostile.crowding(scene.rig, OPENFLOW, b"\x04"):
        yield
        scene.wait_answered()


def half_open_requests(scene: Scene) -> Iterator[None]:
    with hostile.crowding(scene.rig, REST, b"GET /evb/status HTTP/1.1\r\nHo"):
        yield
        scene.wait_answered()


def rest_readers(scene: Scene) -> Iterator[None]:
    with hostile.reading("/evb/events", "/evb/flows/0000000000000001", "/evb/flows/0000000000000002", "/metrics"):
        yield
        scene.wait_answered()


def flows_deleted(scene: Scene) -> Iterator[None]:
    yield from _deleted(scene, "del-flows")


def groups_deleted(scene: Scene) -> Iterator[None]:
    yield from _deleted(scene, "del-groups")


def meters_deleted(scene: Scene) -> Iterator[None]:
    yield from _deleted(scene, "del-meters")


def _deleted(scene: Scene, command: str) -> Iterator[None]:
    """An operator with a shell at a switch, whose VMs have no network until all rules are back."""
    switch, flows = scene.draw.choice((("s1", AT_S1), ("s2", AT_S2)))
    yield
    with scene.rig.excused((*flows, "across")):
        since = time.monotonic()
        run(["ovs-ofctl", "-O", "OpenFlow13", command, switch])
        for kind in (SwitchChangedByOthers.row.kind, SwitchReady.row.kind):
            wait_until(partial(scene.rig.heard_of, since, kind), f"{command} {switch}: {kind}", 30)


def named(*faults: Fault) -> dict[str, Fault]:
    """Return faults by the names that steps have."""
    return {fault.__name__.replace("_", " "): fault for fault in faults}


#: What the cluster does to itself.
BROKEN = named(
    no_fault,
    controller_killed,
    channel_cut,
    channel_silent,
    frames_lost,
    frames_doubled,
    frames_late,
    switch_slow,
    station_killed,
    link_flap,
    operator_recall,
)
#: What is done to it from outside, and what a controller has to come through by itself.
HOSTILE = named(
    controller_stopped,
    state_removed,
    state_emptied,
    port_flood,
    guest_flood,
    idle_connections,
    half_open_requests,
    rest_readers,
    flows_deleted,
    groups_deleted,
    meters_deleted,
)
FAULTS = BROKEN | HOSTILE
