"""VSI types of policy files that were read before, in the state directory, for the next start and the next reload.

One file with a line for each policy: the key, a digest of what follows, and the type as JSON.  The key is made of the
file's name and text and of the code that reads it, so an entry of other text or of another version is not found.  Only
a file of this user, which no other user can write, is read.  A policy whose line is damaged is read anew.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import pydantic
import yaml

from ryu_apps.evb.policy.encoding import decode_type, encode_type
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.body import SECTIONS

LOG = logging.getLogger(__name__)

#: ``(file name, text)``.
Source = tuple[str, str]

FILE_NAME = "vsi_types.cache"
#: Characters of a policy from which on a look-up is faster than reading it.
LEAST = 16_000
#: Octets of the file, for a million rules.
MAX_OCTETS = 256_000_000


class PolicyCache:
    """The entries of one state directory.

    Args:
        directory: None: nothing is kept.
        code: the version of the code that makes a type of a text; None: that of this process.
        max_octets: of the file; if policies come to more, none is kept.
    """

    def __init__(self, directory: Path | None, code: str | None = None, max_octets: int = MAX_OCTETS) -> None:
        self._path = None if directory is None else directory / FILE_NAME
        self._version = code
        self._max_octets = max_octets

    def find(self, sources: Iterable[Source]) -> dict[Source, VsiType]:
        """Return the types of those policies that have been read before; never raises for what is in the file."""
        wanted = {self._key(source): source for source in sources if self._path and _is_worth_it(source[1])}
        found = {}
        for key, vsi_type in self._decoded(wanted.keys()) if wanted else ():
            found[wanted[key]] = replace(vsi_type, text=wanted[key][1])
        return found

    def keep(self, types: Iterable[VsiType]) -> None:
        """Have these types in the file, and no others; if it cannot be written, that is logged."""
        if self._path is None:
            return
        kept = {
            self._key((vsi_type.file, vsi_type.text)): vsi_type for vsi_type in types if _is_worth_it(vsi_type.text)
        }
        if kept.keys() == {key for key, _ in self._entries()}:
            return
        lines, octets = [], 0
        for key, vsi_type in kept.items():
            encoded = encode_type(vsi_type)
            lines.append(b"%s %s %s\n" % (key, _digest(encoded), encoded))
            octets += len(lines[-1])
            if octets > self._max_octets:
                LOG.warning("policies are not kept for the next start: more than %d octets", self._max_octets)
                lines = []
                break
        try:
            self._write(lines)
        except OSError as error:
            LOG.warning("policies are not kept for the next start: %s: %s", self._path, error.strerror)

    def _key(self, source: Source) -> bytes:
        parts = [self._version or _code(), *source]
        return _digest("".join(f"{len(part)}:{part}" for part in parts).encode())

    def _decoded(self, wanted: Iterable[bytes]) -> Iterator[tuple[bytes, VsiType]]:
        for key, rest in self._entries():
            digest, _, encoded = rest.partition(b" ")
            if key in wanted and digest == _digest(encoded):
                try:
                    yield key, decode_type(encoded, SECTIONS)
                except ValueError as error:
                    LOG.warning("%s: an entry is not used: %s", self._path, error)

    def _entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys in the file, each with the rest of its line."""
        for line in self._read().split(b"\n")[:-1]:
            key, _, rest = line.partition(b" ")
            yield key, rest

    def _read(self) -> bytes:
        """Return the file; nothing if it is not there, or not ours."""
        assert self._path is not None
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                return self._checked(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            pass
        except OSError as error:
            LOG.warning("%s is not used: %s", self._path, error.strerror)
        return b""

    def _checked(self, descriptor: int) -> bytes:
        status = os.fstat(descriptor)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
        if not ours or status.st_size > self._max_octets:
            LOG.warning("%s is not used: it is no file that this user alone can write, or it is too long", self._path)
            return b""
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(self._max_octets)

    def _write(self, lines: list[bytes]) -> None:
        assert self._path is not None
        if not lines:
            self._path.unlink(missing_ok=True)
            return
        # Without a sync: after a power failure the digests tell what is missing.
        beside = self._path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.writelines(lines)
            beside.replace(self._path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise


def _is_worth_it(text: str) -> bool:
    return len(text) >= LEAST


def _digest(data: bytes) -> bytes:
    return sha256(data).hexdigest().encode()


@lru_cache
def _code() -> str:
    """Return a digest of all code that makes a type of a text."""
    versions = f"{sys.version} {pydantic.VERSION} {yaml.__version__}"
    found = sha256(versions.encode())
    for module in sorted(Path(__file__).with_name("evb").rglob("*.py")):
        found.update(sha256(module.read_bytes()).digest())
    return found.hexdigest()
