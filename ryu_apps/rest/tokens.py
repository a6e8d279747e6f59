"""Tokens of REST clients: what they may do, and the file that has their hashes.

The file has a line for each token, ``name:role:expires:hash``, like /etc/group; ``#`` begins a comment.  ``expires``
is a date or empty.  A token has 256 random bits, so that its SHA-256 discloses nothing and needs no salt.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import IntEnum
from hashlib import sha256
from pathlib import Path

from ryu_apps.listening.versions import version_of

#: Octets of the file.
_MAX_FILE = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
_HASH = re.compile(r"[0-9a-f]{64}\Z")
#: Of every token, so that scanners for secrets find one that is published by mistake.
_PREFIX = "evb_"


class Role(IntEnum):
    """Permissions of a client; each role has those of a lower one."""

    READ = 1
    OPERATE = 2
    ADMIN = 3

    @classmethod
    def of(cls, name: str) -> Role:
        """The role of a name in lower case.

        Raises:
            ValueError: there is none.
        """
        try:
            return cls[name.upper()]
        except KeyError:
            raise ValueError(f"{name!r} is not a role; there are: {', '.join(map(str, cls))}") from None

    def __str__(self) -> str:
        return self.name.lower()


class TokensError(Exception):
    """A file of tokens cannot be used; the text has file, line and reason."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret.

    Attributes:
        expires: first day on which it is not accepted any more, UTC; None: it does not expire.
        digest: SHA-256 of its text, 64 hexadecimal digits.
    """

    name: str
    role: Role
    expires: date | None
    digest: str

    def __str__(self) -> str:
        return f"{self.name}:{self.role}:{self.expires or ''}:{self.digest}"

    def has_expired(self, now: float) -> bool:
        """True if it is not accepted any more; ``now`` is Unix time in seconds."""
        return self.expires is not None and datetime.fromtimestamp(now, UTC).date() >= self.expires


def new_token(name: str, role: Role, expires: date | None = None) -> tuple[str, Token]:
    """Make a token: its text, for the client alone, and its entry in the file.

    Raises:
        ValueError: the name has other characters than letters, digits, ``.``, ``_``, ``@`` and ``-``.
    """
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is not a name of up to 64 letters, digits, '.', '_', '@' and '-'")
    text = _PREFIX + secrets.token_urlsafe(32)
    return text, Token(name, role, expires, _digest(text))


def read_tokens(path: Path) -> list[Token]:
    """The tokens of a file.

    Raises:
        TokensError: the file cannot be read, or has a mistake.
    """
    try:
        with path.open("rb") as file:
            octets = file.read(_MAX_FILE + 1)
        if len(octets) > _MAX_FILE:
            raise TokensError(f"{path}: more than {_MAX_FILE} octets")
        lines = octets.decode().splitlines()
    except OSError as error:
        raise TokensError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TokensError(f"{path}: not UTF-8") from None
    return list(_entries(path, lines))


def _entries(path: Path, lines: Iterable[str]) -> Iterable[Token]:
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            token = _entry(line.strip())
            if token.name in names:
                raise ValueError(f"there is another token {token.name!r}")
        except ValueError as error:
            raise TokensError(f"{path}:{number}: {error}") from None
        names.add(token.name)
        yield token


def _entry(line: str) -> Token:
    parts = line.split(":")
    if len(parts) != 4:
        raise ValueError("name:role:expires:hash was expected")
    name, role, expires, digest = parts
    if not _NAME.match(name) or not _HASH.match(digest):
        raise ValueError("name:role:expires:hash was expected")
    return Token(name, Role.of(role), date.fromisoformat(expires) if expires else None, digest)


class TokenFile:
    """A file of tokens that is read again when it has changed.

    Without a readable file no token is accepted, so that a token that was revoked is not accepted again.

    Args:
        path: of the file.

    Raises:
        TokensError: as of :func:`read_tokens`.

    Attributes:
        fault: why the file cannot be used; None: it can.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = version_of(path)
        self._tokens = _by_digest(read_tokens(path))
        self.fault: str | None = None

    def find(self, text: str, now: float) -> Token | None:
        """The token with this text, unless it has expired; ``now`` is Unix time in seconds."""
        self._refresh()
        # A look-up by the hash: its time discloses nothing about the text.
        found = self._tokens.get(_digest(text))
        return None if found is None or found.has_expired(now) else found

    def _refresh(self) -> None:
        version = version_of(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._tokens, self.fault = _by_digest(read_tokens(self._path)), None
        except TokensError as error:
            self._tokens, self.fault = {}, str(error)


def _by_digest(tokens: Iterable[Token]) -> dict[str, Token]:
    return {token.digest: token for token in tokens}


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
