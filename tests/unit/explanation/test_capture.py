"""Frames of capture files."""

from __future__ import annotations

import random
import struct
from contextlib import suppress

import pytest

from ryu_apps.evb.explanation.capture import CaptureError, frames

FRAMES = [b"a" * 60, b"b" * 61, b""]


def pcap(order: str, magic: int = 0xA1B2C3D4, link_type: int = 1) -> bytes:
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 0xFFFF, link_type)
    records = (struct.pack(f"{order}IIII", 1, 2, len(frame), len(frame) + 9) + frame for frame in FRAMES)
    return head + b"".join(records)


def block(order: str, kind: int, body: bytes) -> bytes:
    padded = body + bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", 12 + len(padded))
    return struct.pack(f"{order}I", kind) + size + padded + size


def pcapng(order: str, link_type: int = 1) -> bytes:
    blocks = [block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))]
    blocks += [block(order, 1, struct.pack(f"{order}HHI", link_type, 0, 0)), block(order, 5, bytes(20))]
    for frame in FRAMES:
        head = struct.pack(f"{order}IIIII", 0, 1, 2, len(frame), len(frame))
        blocks.append(block(order, 6, head + frame))
    # A block without a body, and a frame in the shortest form whose padding is not part of it.
    return b"".join([*blocks, block(order, 0xBAD, b""), simple(order, b"at end")])


def simple(order: str, frame: bytes) -> bytes:
    return block(order, 3, struct.pack(f"{order}I", len(frame)) + frame)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_pcap(order: str, magic: int) -> None:
    assert list(frames(pcap(order, magic))) == FRAMES


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(order: str) -> None:
    assert list(frames(pcapng(order))) == [*FRAMES, b"at end"]


def without_interface() -> bytes:
    return pcapng("<")[:28] + simple("<", b"frame")


def only_simple(link_type: int) -> bytes:
    return pcapng("<", link_type)[:48] + simple("<", b"frame")


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (pcap("<", link_type=113), "link type 113: only Ethernet"),
        (pcapng("<", 113), "link type 113: only Ethernet"),
        (only_simple(113), "link type 113: only Ethernet"),
        (without_interface(), "link type None"),
        (b"", "neither pcap nor pcapng$"),
        (b"GIF89a" + bytes(40), "neither pcap nor pcapng$"),
    ],
)
def test_other_files_are_refused(octets: bytes, reason: str) -> None:
    with pytest.raises(CaptureError, match=reason):
        list(frames(octets))


def test_frames_in_the_shortest_form_are_those_of_the_first_interface() -> None:
    assert list(frames(only_simple(1))) == [b"frame"]


@pytest.mark.parametrize("whole", [pcap("<"), pcapng("<"), pcapng(">")])
def test_a_file_that_is_cut_off_or_damaged_has_the_frames_before(whole: bytes) -> None:
    known = list(frames(whole))
    chosen = random.Random(81)
    for end in range(28, len(whole)):
        found = list(frames(whole[:end]))
        assert found == known[: len(found)]
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[chosen.randrange(len(whole))] = chosen.randrange(256)
        with suppress(CaptureError):
            assert len(list(frames(bytes(damaged)))) <= len(whole) // 12
