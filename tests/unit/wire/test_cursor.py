"""The cursor never passes its bound and says where and what."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

import pytest

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.errors import WireError


def test_numbers_are_big_endian() -> None:
    cursor = Cursor(bytes(range(1, 11)))
    assert [cursor.u8(), cursor.u16(), cursor.u24(), cursor.u32()] == [0x01, 0x0203, 0x040506, 0x0708090A]
    assert cursor.remaining == 0


READS: list[Callable[[Cursor], object]] = [
    lambda cursor: cursor.u32("field"),
    lambda cursor: cursor.take(3, "field"),
    lambda cursor: cursor.restrict(3, "field"),
    lambda cursor: cursor.unpack(Struct("!HB"), "field"),
    lambda cursor: cursor.take(-1, "field"),
]


@pytest.mark.parametrize("read", READS)
def test_a_read_past_the_bound_names_field_and_offset(read: Callable[[Cursor], object]) -> None:
    cursor = Cursor(b"\0\0\0")
    cursor.u8()
    with pytest.raises(WireError) as caught:
        read(cursor)
    assert (caught.value.field, caught.value.offset) == ("field", 1)
    assert str(caught.value).startswith("field at octet 1: ")


@pytest.mark.parametrize("read", READS)
def test_a_failed_read_consumes_nothing(read: Callable[[Cursor], object]) -> None:
    cursor = Cursor(b"\1\2")
    with pytest.raises(WireError):
        read(cursor)
    assert cursor.rest() == b"\1\2"


def test_a_restricted_cursor_ends_at_its_own_bound() -> None:
    cursor = Cursor(b"\1\2\3\4")
    inner = cursor.restrict(2)
    assert inner.rest() == b"\1\2"
    assert inner.peek(4) == b""
    with pytest.raises(WireError):
        inner.u8()
    assert cursor.rest() == b"\3\4"


def test_octets_left_over_in_a_restricted_cursor_are_an_error() -> None:
    cursor = Cursor(bytes(5))
    cursor.u8()
    with pytest.raises(WireError, match="1 of 3 octets left over") as caught, cursor.restrict(3) as inner:
        inner.u16()
    assert caught.value.offset == 3


def test_an_error_inside_a_restricted_cursor_is_not_covered_up() -> None:
    with pytest.raises(KeyError), Cursor(bytes(2)).restrict(2):
        raise KeyError


def test_peek_consumes_nothing() -> None:
    cursor = Cursor(b"\1\2")
    assert (cursor.peek(), cursor.peek(3), cursor.remaining) == (b"\1", b"\1\2", 2)
