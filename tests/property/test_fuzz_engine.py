"""Any frames of a station are counted or answered by a whole bridge: no exception, no growth, no stalled loop.

Frames come from real captures, mutated; from well-formed requests full of odd values; from nowhere.
"""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.evb.bridge.requests import MAX_VSIS
from ryu_apps.evb.events.effect import Effect, SendFrame
from ryu_apps.evb.events.other import OperatorDeassociate
from ryu_apps.evb.events.switch import FrameReceived, PortChanged
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.protocol.station_address import LINK_PATIENCE
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.announcement import ETHERTYPE_ARP, ETHERTYPE_IPV6, ETHERTYPE_RARP
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_DRAFT_ECP, ETHERTYPE_ECP, ETHERTYPE_LLDP, Frame
from ryu_apps.evb.wire.lldp import Lldpdu, switch_port
from ryu_apps.evb.wire.status import ResponseStatus
from ryu_apps.evb.wire.vdp import DeAssociate, VdpMode, VdpPdu
from tests.worlds.bridge import CLIENT, HV1, HV2, HV3, NMS, S1, S2, Vm, World, two_switches

CAPTURES = sorted((Path(__file__).parents[1] / "golden" / "captures").glob("*.pcap"))
ETHERTYPES = (ETHERTYPE_ECP, ETHERTYPE_LLDP, ETHERTYPE_DRAFT_ECP, 0x0806)
STATION = bytes.fromhex("020000000101")
GROUP = bytes.fromhex("0180c2000000")

#: What one frame may cost: lines of our code executed.  A keep-alive takes some hundreds.
STEPS = 200_000


def recorded(path: Path) -> Iterator[bytes]:
    """The frames of a little-endian pcap file."""
    data, place = path.read_bytes(), 24
    while place < len(data):
        (length,) = struct.unpack_from("<8xI", data, place)
        yield data[place + 16 : place + 16 + length]
        place += 16 + length


CORPUS = sorted({frame for path in CAPTURES for frame in recorded(path)})


# --- how frames go wrong -------------------------------------------------------------------------
def flipped(frame: bytes, chance: random.Random) -> bytes:
    octets = bytearray(frame)
    for _ in range(chance.choice((1, 1, 2, 8))):
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    return bytes(octets)


def truncated(frame: bytes, chance: random.Random) -> bytes:
    return frame[: chance.randrange(len(frame) + 1)]


def spliced(frame: bytes, chance: random.Random) -> bytes:
    other = chance.choice(CORPUS)
    return frame[: chance.randrange(len(frame))] + other[chance.randrange(len(other)) :]


def concatenated(frame: bytes, chance: random.Random) -> bytes:
    return frame + chance.choice(CORPUS)[14:]


def extreme(frame: bytes, chance: random.Random) -> bytes:
    """Lengths, counts and identifiers are where 0 and all ones hurt."""
    place = chance.randrange(max(len(frame) - 2, 1))
    return frame[:place] + chance.choice((b"\0\0", b"\xff\xff", b"\x01\xff", b"\x7f\xff")) + frame[place + 2 :]


def unchanged(frame: bytes, _: random.Random) -> bytes:
    return frame


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped,
    truncated,
    spliced,
    concatenated,
    extreme,
    unchanged,
)


def renumbered(frame: bytes, chance: random.Random) -> bytes:
    """An ECPDU under another number is not a repetition."""
    if frame[12:14] != ETHERTYPE_ECP.to_bytes(2) or len(frame) < 18:
        return frame
    return frame[:16] + chance.randrange(0x10000).to_bytes(2) + frame[18:]


def mutated(chance: random.Random) -> bytes:
    frame = chance.choice(CORPUS)
    for _ in range(chance.choice((1, 1, 1, 3))):
        frame = chance.choice(MUTATIONS)(frame or b"\0", chance)
    return renumbered(frame, chance)


def tlv_soup(chance: random.Random) -> bytes:
    """TLVs of every type and length, most of them with the right number of octets."""
    soup = b""
    for _ in range(chance.randrange(1, 12)):
        value = chance.randbytes(chance.choice((0, 1, 16, 25, 33, chance.randrange(512))))
        kind = chance.choice((0, 1, 2, 3, 4, 5, 8, 127, chance.randrange(128)))
        length = len(value) if chance.random() < 0.9 else chance.randrange(512)
        soup += (kind << 9 | length).to_bytes(2) + value
    head = b"\x10\x01" + chance.randrange(0x10000).to_bytes(2) if chance.random() < 0.8 else b""
    manager = b"\x0a\x10" + bytes(16) if chance.random() < 0.7 else b""
    ethertype = chance.choice(ETHERTYPES).to_bytes(2)
    return GROUP + STATION + ethertype + head + manager + soup


def odd_request(chance: random.Random) -> bytes:
    """Well-formed, about few VSIs, with values at the edges: what reaches furthest in."""
    mode = chance.choice(list(VdpMode))
    vsi = bytes((chance.choice((1, 2, 3, 4, 5)),)) + bytes(15) + bytes((chance.randrange(4),))
    kind = (1 if chance.random() < 0.8 else chance.randrange(4)).to_bytes(3)
    version = bytes((chance.choice((1, 1, 1, 2, 0xFF)),))
    form = chance.choice((1, 2, 2, 3, 4))
    entries = b"".join(entry(form, chance) for _ in range(chance.choice((0, 1, 1, 2, 40))))
    size = {1: 2, 2: 8, 3: 6, 4: 12}[form]
    status = bytes((chance.choice((0, 0, 0x10, 0x08, chance.randrange(256))),))
    value = status + kind + version + vsi + bytes((form,)) + (len(entries) // size).to_bytes(2) + entries
    value = value[:511]
    tlvs = (int(mode) << 9 | len(value)).to_bytes(2) + value
    if chance.random() < 0.3:
        tlvs += organizational(chance)
    number = chance.randrange(0x10000).to_bytes(2)
    ethertype = ETHERTYPE_ECP.to_bytes(2)
    return GROUP + STATION + ethertype + b"\x10\x01" + number + b"\x0a\x10" + bytes(16) + tlvs + b"\0\0"


def organizational(chance: random.Random) -> bytes:
    """Cisco's: a name or an address, most of them with something wrong."""
    family, address = chance.choice(((1, bytes(4)), (2, bytes(16)), (1, bytes(3)), (0, bytes(4))))
    told = bytes((chance.randrange(7),)) + bytes(16) + family.to_bytes(2) + address
    info = bytes.fromhex("00000c") + bytes((chance.choice((0xF1, 0xF2, 0)),)) + told
    return (127 << 9 | len(info)).to_bytes(2) + info


def entry(form: int, chance: random.Random) -> bytes:
    group = chance.randrange(3).to_bytes(4) if form in (3, 4) else b""
    mac = chance.choice((0x525400000001, 0x525400000002, 0x020000000F01, 0, 0xFFFFFFFFFFFF)).to_bytes(6)
    vid = chance.choice((0, 100, 100, 200, 4094, 4095, 0x8064)).to_bytes(2)
    return group + (mac if form in (2, 4) else b"") + vid


def noise(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(1600))


SOURCES = (mutated, mutated, tlv_soup, odd_request, odd_request, noise)


# --- a bridge that is watched ----------------------------------------------------------------------
class StalledError(AssertionError):
    """One frame cost more than anything may cost."""


class Meter:
    """Counts the lines of our code that run, and remembers which pairs of lines ran one after the other."""

    def __init__(self, limit: int = STEPS) -> None:
        self.limit = limit
        self.steps = 0
        self.seen: set[tuple[CodeType, int]] = set()

    def run(self, action: Callable[[], None]) -> bool:
        """Run it; True if it got where nothing got before.

        Raises:
            StalledError: too many steps.
        """
        self.steps, known, before = 0, len(self.seen), sys.gettrace()
        sys.settrace(self._called)
        try:
            action()
        finally:
            sys.settrace(before)
        return len(self.seen) > known

    def _called(self, frame: FrameType, _: str, __: object) -> Callable[..., object] | None:
        return self._line if "ryu_apps" in frame.f_code.co_filename else None

    def _line(self, frame: FrameType, what: str, _: object) -> Callable[..., object]:
        if what == "line":
            self.steps += 1
            self.seen.add((frame.f_code, frame.f_lineno))
            if self.steps > self.limit:
                raise StalledError(f"more than {self.limit} lines for one frame")
        return self._line


class WatchedWorld(World):
    """Checks everything the bridge says while it says it."""

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, SendFrame):
            conforming(effect)
        World._perform(self, effect)


def conforming(sent: SendFrame) -> None:
    """A bridge sends LLDP, acknowledgements, answers, and De-Associates of its own accord: nothing else.

    To hosts it announces VMs, and other switches hear which port they are at.
    """
    frame = Frame.decode(sent.data)
    interface = two_switches().interface(sent.port)
    if interface is not None and interface.peer is not None:
        assert switch_port(Lldpdu.decode(frame.payload)) == sent.port
        return
    if sent.port in (NMS, CLIENT):
        assert frame.ethertype in (ETHERTYPE_RARP, ETHERTYPE_ARP, ETHERTYPE_IPV6)
        assert frame.src & 1 << 40 == 0
        return
    if frame.ethertype == ETHERTYPE_LLDP:
        assert Lldpdu.decode(frame.payload).evb is not None
        return
    assert frame.ethertype == ETHERTYPE_ECP
    assert len(frame.payload) <= 1500
    ecpdu = Ecpdu.decode(frame.payload)
    if ecpdu.op is EcpOp.REQUEST:
        for tlv, _ in VdpPdu.decode(ecpdu.payload).associations():
            assert isinstance(tlv.status, ResponseStatus) or isinstance(tlv, DeAssociate)


def empty_tables() -> dict[int, FlowTable]:
    world = World()
    world.connect()
    return world.tables


EMPTY = empty_tables()


def assault(frames: Iterable[bytes], port: PortId = HV1, meter: Meter | None = None) -> WatchedWorld:
    """A bridge with two VSIs of honest stations, and these frames at a port."""
    world = WatchedWorld()
    world.connect()
    world.ask(HV2, Vm(101), VdpMode.ASSOCIATE)
    world.ask(HV3, Vm(102), VdpMode.ASSOCIATE)
    gauge = meter or Meter()
    for frame in frames:
        gauge.run(lambda frame=frame: world.feed(FrameReceived(port, frame)))  # type: ignore[misc]
        world.advance(0.0005)
    return world


def honest_are_served(world: World) -> None:
    """The VSIs that were there are there, a new one is served, and all that goes leaves nothing."""
    for port, vm in ((HV2, Vm(101)), (HV3, Vm(102))):
        vsi = world.engine.registry.named(vm.text)
        assert vsi is not None
        assert vsi.owner is not None
        assert vsi.owner.port == port
    world.ask(HV3, Vm(103), VdpMode.ASSOCIATE)
    assert world.answer(HV3).success
    assert world.engine.registry.count_at(HV1) <= MAX_VSIS


def nothing_is_left_in_the_end(world: World) -> None:
    """Long timers may have been agreed on: the operator takes off what has not lapsed by then, and pulls the plug."""
    for up in (False, True):
        world.feed(PortChanged(HV1, up))
    world.advance(max(5.0, LINK_PATIENCE))
    for vsi in list(world.engine.registry):
        world.feed(OperatorDeassociate(vsi.text))
    world.advance(1.0)
    assert len(world.engine.registry) == 0
    assert [key for key in world.store if key.startswith("vsi/")] == []
    assert {dpid: world.tables[dpid].rules for dpid in (S1, S2)} == {dpid: EMPTY[dpid].rules for dpid in (S1, S2)}
    assert world.engine.ledger.used(S1) == world.engine.ledger.used(S2) == 0
    assert not world.engine.migrations._open


# --- the tests -------------------------------------------------------------------------------------
def frames_from(seed: int, number: int) -> list[bytes]:
    chance = random.Random(seed)
    return [chance.choice(SOURCES)(chance) for _ in range(number)]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), number=st.integers(1, 60))
def test_a_station_that_sends_anything_is_counted_or_answered(seed: int, number: int) -> None:
    world = assault(frames_from(seed, number))
    honest_are_served(world)
    nothing_is_left_in_the_end(world)


@settings(max_examples=60)
@given(frames=st.lists(st.binary(max_size=1600), max_size=6))
def test_frames_from_nowhere_are_counted(frames: list[bytes]) -> None:
    world = assault(frames)
    assert sum(world.engine.stations[HV1].counters.values()) >= len([frame for frame in frames if len(frame) < 14])
    assert world.engine.registry.count_at(HV1) == 0


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_every_capture_is_survived_cut_at_every_octet(path: Path) -> None:
    frames = [frame[:length] for frame in recorded(path) for length in range(0, len(frame), 7)]
    honest_are_served(assault(frames))


def test_a_bridge_that_meets_endless_work_would_be_noticed() -> None:
    meter = Meter(limit=20)
    with pytest.raises(StalledError):
        assault([CORPUS[0]], meter=meter)


@pytest.mark.soak
@pytest.mark.parametrize("run", range(8))
def test_for_long_and_guided_by_what_was_not_reached_yet(run: int, soak_seed: int) -> None:
    """Frames that reach new lines are kept and mutated further."""
    chance, meter = random.Random(f"{soak_seed} {run}"), Meter()
    for _ in range(200):
        world = WatchedWorld()
        world.connect()
        world.ask(HV2, Vm(101), VdpMode.ASSOCIATE)
        world.ask(HV3, Vm(102), VdpMode.ASSOCIATE)
        kept = [chance.choice(CORPUS)]
        for _ in range(500):
            frame = chance.choice(SOURCES)(chance)
            if chance.random() < 0.5:
                frame = chance.choice(MUTATIONS)(chance.choice(kept) or b"\0", chance)
            if meter.run(lambda: world.feed(FrameReceived(HV1, frame))):  # noqa: B023
                kept.append(frame)
            world.advance(chance.choice((0.0, 0.0005, 0.02)))
        nothing_is_left_in_the_end(world)
