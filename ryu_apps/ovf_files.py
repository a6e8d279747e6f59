"""OVF descriptors from files, directories and HTTP servers, and the network port profiles that they point to.

What comes over a network is bounded in size and time; redirections stay at the host, and so do the profiles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error, utf8
from ryu_apps.http_client import Limits, RefusedError, Request, exchange, words
from ryu_apps.sources import Source, read_sources

#: The schemes of a ``NetworkPortProfileURI`` that mean a file of the package.
LOCAL = ("", "file")
_REMOTE = ("http", "https")
#: Most network port profiles that a descriptor may have fetched.
_MOST_PROFILES = 64
#: Seconds from connection to end.
_DEADLINE = 30.0
#: Seconds of each step, and octets of an answer.
_TIMEOUT, _MAX_SIZE = 10.0, 8_000_000


class AcquiredOvf(NamedTuple):
    """A descriptor: where it was found, its text, and the function that finds its network port profiles."""

    file: str
    text: str
    fetch: Callable[[str], Source | str]


def acquire(
    places: Iterable[str], base: Path, ca_file: str | None = None, token_file: str | None = None
) -> tuple[list[AcquiredOvf], list[Diagnostic]]:
    """Read descriptors.

    Args:
        places: files, directories with ``*.ovf``, and URLs (HTTP, HTTPS).
        base: folder to which paths are relative.
        ca_file: certificates that authenticate servers; None: those that the system trusts.
        token_file: file with the token that authenticates us at servers; None: none.

    Returns:
        what could be read, in order, and a diagnostic for what could not.
    """
    acquired: list[AcquiredOvf] = []
    found: list[Diagnostic] = []
    limits = Limits(_TIMEOUT, _MAX_SIZE, ca_file, token_file)
    for place in places:
        texts = _downloaded(place, base, limits) if is_remote(place) else _read(base / place)
        for text in texts:
            if isinstance(text, Diagnostic):
                found.append(text)
            else:
                acquired.append(text)
    return acquired, found


def profile_beside(directory: Path, uri: str) -> Source | str:
    """Read a network port profile that is in the directory of its descriptor; else return why not."""
    try:
        scheme, _, where, _, _ = urlsplit(uri)
    except ValueError:
        return "not a URI"
    if scheme not in LOCAL:
        return "not fetched from the network: name a copy of it on the command line"
    path = directory / where
    if not re.fullmatch(r"\w[\w.-]*", where) or path.resolve().parent != directory.resolve():
        return "not looked for outside the package's own directory: name it on the command line"
    found, mistakes = read_sources([path])
    return found[0] if found else mistakes[0].reason


def is_remote(place: str) -> bool:
    """Return True if a place is a URL."""
    return place.partition("://")[0].lower() in _REMOTE


def _read(path: Path) -> Iterator[AcquiredOvf | Diagnostic]:
    files = sorted(path.glob("*.ovf")) if path.is_dir() else [path]
    if not files:
        yield error(str(path), Position(), "no .ovf file in this directory")
    for file in files:
        sources, mistakes = read_sources([file])
        yield from mistakes
        for name, text in sources:
            yield AcquiredOvf(name, text, partial(profile_beside, file.parent))


def _downloaded(url: str, base: Path, limits: Limits) -> Iterator[AcquiredOvf | Diagnostic]:
    text = _get(url, base, limits)
    if isinstance(text, Diagnostic):
        yield text
    else:
        yield AcquiredOvf(url, text, _ProfilesAt(url, base, limits))


class _ProfilesAt:
    """Finds the network port profiles of a descriptor at its own server."""

    def __init__(self, url: str, base: Path, limits: Limits) -> None:
        self._url, self._base, self._limits = url, base, limits
        self._left = _MOST_PROFILES

    def __call__(self, uri: str) -> Source | str:
        try:
            target = urljoin(self._url, uri)
            if _origin(target) != _origin(self._url):
                return "not fetched from another host than the descriptor's"
        except ValueError:
            return "not a URI"
        if not self._left:
            return f"more than {_MOST_PROFILES} network port profiles"
        self._left -= 1
        text = _get(target, self._base, self._limits)
        return text.reason if isinstance(text, Diagnostic) else (target, text)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _get(url: str, base: Path, limits: Limits) -> str | Diagnostic:
    """Return the text of a URL, or why there is none."""
    try:
        if urlsplit(url).hostname is None:
            return error(url, Position(), "a URL has a host")
        answer = exchange(base, limits, Request("GET", url, {"Accept-Encoding": "identity"}), _DEADLINE)
    except (RefusedError, HTTPException, OSError, ValueError) as problem:
        return error(url, Position(), words(problem))
    if answer.status != 200:
        return error(url, Position(), f"HTTP {answer.status} {answer.reason}".strip())
    if answer.body is None:
        return error(url, Position(), f"more than {limits.max_size} octets")
    return utf8(url, answer.body)
