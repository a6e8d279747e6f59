"""Bodies of answers: built in slices, kept compressed until the client has them, marked with a weak ETag.

A long answer is ten times as large as its compressed form, and a slow client may take minutes.  Members that change
with the time alone, such as ``age``, are not part of the ETag, so that a client that asks again is told "the same".
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import islice

from webob import Request, Response

from ryu_apps.rest.bridge import JsonValue

#: Items of a long list in one slice, and seconds after which a slice ends early: frames of stations wait meanwhile.
_PIECE, _SLICE = 100, 0.002
#: Octets from which on a body is compressed.
_WORTH_IT = 1000
#: Members that follow from the time and another member, or change with every request.
_MOMENTARY = re.compile(rb'"(?:age|expires_in|heard|in_use|next_in|refreshed|uptime)": -?[0-9.e+-]+')
#: gzip (RFC 1952), as the argument of zlib.
_GZIP, _FASTEST = 16 + zlib.MAX_WBITS, 1


class Body:
    """The octets of an answer."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
        self._parts: list[bytes] = []
        self._digest = blake2b(digest_size=12)
        self._length = 0

    def add(self, octets: bytes) -> None:
        """Append octets; members of JSON objects are not split."""
        self._length += len(octets)
        self._digest.update(_MOMENTARY.sub(b"", octets))
        self._parts.append(self._packer.compress(octets))

    def response(self, request: Request, content_type: str) -> Response:
        """The answer to a request for it; 304 if the client has it."""
        self._parts.append(self._packer.flush())
        etag = self._digest.hexdigest()
        headers = {"ETag": f'W/"{etag}"', "Vary": "Accept-Encoding"}
        if etag in request.if_none_match:
            return Response(status=304, headers=headers)
        packed = self._length >= _WORTH_IT and _takes_gzip(request)
        length = sum(map(len, self._parts)) if packed else self._length
        headers |= {"Content-Type": content_type, "Content-Length": str(length)}
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(app_iter=self._parts if packed else self._plain(), headers=headers)

    def _plain(self) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(_GZIP)
        return filter(None, map(unpacker.decompress, self._parts))


def _takes_gzip(request: Request) -> bool:
    """True if the client names gzip; without Accept-Encoding it perhaps knows no encoding at all."""
    accepted = request.accept_encoding
    return accepted.header_value is not None and bool(accepted.acceptable_offers(["gzip"]))


def body_of(parts: Iterable[bytes], pause: Callable[[float], None]) -> Body:
    """Collect the parts of a body; other green threads run between two of them."""
    body = Body()
    for part in parts:
        body.add(part)
        pause(0)
    return body


class Page:
    """A part of a long list, as a JSON array in pieces.

    Args:
        items: the list, from the first item of the page on.
        limit: the most items, but all with the same key stay together.
        key: member of an item that names it.

    Attributes:
        last: key of the last item if more follow, else None; complete when :meth:`pieces` is exhausted.
    """

    def __init__(self, items: Iterator[JsonValue], limit: int, key: str | None) -> None:
        self._items = items
        self._limit = limit
        self._key = key
        self.last: object = None

    def pieces(self, clock: Callable[[], float]) -> Iterator[bytes]:
        """Yield the array; each piece is made in a slice of time."""
        opening, items = b"[", self._chosen()
        while piece := _piece(items, clock):
            yield opening + ", ".join(piece).encode()
            opening = b", "
        yield b"]\n" if opening == b", " else b"[]\n"

    def _chosen(self) -> Iterator[JsonValue]:
        if self._key is None:
            yield from self._items
            return
        last = None
        for number, item in enumerate(self._items):
            if number >= self._limit and item[self._key] != last:
                self.last = last
                return
            last = item[self._key]
            yield item


def _piece(items: Iterator[JsonValue], clock: Callable[[], float]) -> list[str]:
    """Return the next items as JSON texts: at most ``_PIECE``, and no more after ``_SLICE`` seconds."""
    piece: list[str] = []
    until = clock() + _SLICE
    for item in islice(items, _PIECE):
        piece.append(json.dumps(item))
        if clock() > until:
            break
    return piece
