"""A cursor that cannot read past its bound.

Every decoder of this package reads through it: the bound is checked in one place, and a missing or
left-over octet is a :class:`WireError` with field and offset.
"""

from __future__ import annotations

from struct import Struct
from types import TracebackType
from typing import Any

from ryu_apps.evb.wire.errors import WireError


class Cursor:
    """Reads unsigned big-endian numbers and octets from ``data``, front to back.

    Every reading method takes the name of the field for the error text and raises WireError when
    fewer octets are left than it needs.
    """

    __slots__ = ("_data", "_end", "_start", "offset")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._start = self.offset = 0
        self._end = len(data)

    @property
    def remaining(self) -> int:
        """Octets not read yet."""
        return self._end - self.offset

    def u8(self, field: str = "") -> int:
        return self.take(1, field)[0]

    def u16(self, field: str = "") -> int:
        return int.from_bytes(self.take(2, field))

    def u24(self, field: str = "") -> int:
        return int.from_bytes(self.take(3, field))

    def u32(self, field: str = "") -> int:
        return int.from_bytes(self.take(4, field))

    def take(self, count: int, field: str = "") -> bytes:
        """The next ``count`` octets."""
        # The check of _advance, in place: most of what is read is read here.
        begin = self.offset
        if not 0 <= count <= self._end - begin:
            begin = self._advance(count, field)
        self.offset = end = begin + count
        return self._data[begin:end]

    def unpack(self, layout: Struct, field: str = "") -> tuple[Any, ...]:
        """The fields of a precompiled layout: one bound check for all of them."""
        begin = self.offset
        if layout.size > self._end - begin:
            begin = self._advance(layout.size, field)
        self.offset = begin + layout.size
        return layout.unpack_from(self._data, begin)

    def peek(self, count: int = 1) -> bytes:
        """Up to ``count`` of the next octets, not consumed; fewer at the bound."""
        return self._data[self.offset : min(self.offset + count, self._end)]

    def rest(self) -> bytes:
        """Everything up to the bound; may be empty."""
        begin, self.offset = self.offset, self._end
        return self._data[begin : self._end]

    def restrict(self, count: int, field: str = "") -> Cursor:
        """A cursor over the next ``count`` octets; offsets in its errors stay those of the whole.

        As a context manager it raises WireError unless all of them are read::

            with cursor.restrict(length, "value") as value:
                ...
        """
        inner = Cursor(self._data)
        inner._start = inner.offset = self._advance(count, field)
        inner._end = self.offset
        return inner

    def error(self, reason: str, field: str = "", back: int = 0) -> WireError:
        """A WireError about the octets that begin ``back`` octets before the current offset."""
        return WireError(reason, field=field, offset=self.offset - back)

    def __enter__(self) -> Cursor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and self.remaining:
            raise self.error(f"{self.remaining} of {self._end - self._start} octets left over")

    def _advance(self, count: int, field: str) -> int:
        """Step over ``count`` octets and return the offset of the first."""
        begin = self.offset
        if not 0 <= count <= self._end - begin:
            raise self.error(f"{count} octets wanted, {self._end - begin} left", field)
        self.offset = begin + count
        return begin
