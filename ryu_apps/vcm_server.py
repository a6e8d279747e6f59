"""``evbridge vcm serve``: the REST API of the cluster manager, with a journal from which a restart continues."""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import click
from webob import Request, Response
from webob.dec import wsgify

from ryu_apps.rest.callers import Limit, NotServedError, abandon, read_body, screen, status_line
from ryu_apps.rest_daemon import Chore, DaemonAccess, ServedApplication, serve_daemon
from ryu_apps.vcm.acquired import AcquiredVms, UnfitError, acquired_of, with_acquired
from ryu_apps.vcm.bridge_answers import BridgeAnswers, room_of
from ryu_apps.vcm.bridge_room import NO_ROOM_KNOWN
from ryu_apps.vcm.components import AWAITING
from ryu_apps.vcm.loader import Loaded
from ryu_apps.vcm.move_events import MoveStep
from ryu_apps.vcm.policy_sections import policies_of
from ryu_apps.vcm.resources import ManagerReply, changes, serve
from ryu_apps.vcm.service import ManagerService
from ryu_apps.vcm.snapshots import restore, snapshot_of

_VERSION = 1
#: Asks the bridge; None: it has not answered.
AskBridge = Callable[[], BridgeAnswers | None]
#: Path of an entry without a method that says that a further run of the manager begins.
_RESTARTED = "restarted"
_SNAPSHOT = "snapshot"
#: Path of an entry without a method that has the answers of the bridge, or null: it has not answered.
_ROOM = "room"
#: Path of an entry without a method that has the descriptors of the VMs.
_ACQUIRED = "acquired"
#: Octets of a journal that is begun anew.
COMPACT_FROM = 1 << 20


class JournalEntry(NamedTuple):
    """A request in the journal, with its time in seconds.

    An entry without a method is a deadline that has come, a restart, descriptors that were acquired, or the state in
    place of earlier entries.
    """

    t: float
    method: str = ""
    path: str = ""
    body: str = ""


class AwaitedStep(NamedTuple):
    """A step of a goal that waits for components.

    Attributes:
        node: at whose port they do it.
        vsis: of the VM's interfaces.
    """

    goal: int
    number: int
    step: MoveStep
    node: str
    vsis: tuple[str, ...]


class JournalError(Exception):
    """A journal that cannot be used; the text is the reason."""


class RequestJournal:
    """Requests, one a line, written before they are carried out; a replay gives the same state."""

    def __init__(self, path: Path, inventory: str) -> None:
        """
        Args:
            inventory: text of the inventory; a journal belongs to one.

        Raises:
            JournalError: the file is the journal of another inventory, or no journal, or another process has it open.
            OSError: the file cannot be read or written.
        """
        self._path = path
        self._head = _line({"version": _VERSION, "inventory": hashlib.sha256(inventory.encode()).hexdigest()})
        self._file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(f"{path}: another manager uses it") from None
        self._entries, self._size = self._read()
        if not self._size:
            self._append(self._head)
            _sync_folder(path.parent)

    def entries(self) -> Iterator[JournalEntry]:
        """Yield the requests of earlier runs."""
        yield from self._entries

    def note(self, entry: JournalEntry) -> None:
        """Write a request; it is on the disk when this returns.

        Raises:
            OSError: it cannot be written; then no part of it is in the file.
        """
        self._append(_line(entry._asdict()))

    @property
    def size(self) -> int:
        """Octets of the file."""
        return self._size

    def compact(self, entry: JournalEntry) -> None:
        """Put one entry in the place of all; after a failure, or a crash at any moment, the file is as before.

        Raises:
            OSError: the new file cannot be written.
        """
        octets, path = self._head + _line(entry._asdict()), self._path.with_name(f"{self._path.name}.new")
        new = path.open("w+b", buffering=0)
        try:
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if new.write(octets) != len(octets):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(new.fileno())
            path.replace(self._path)
        except OSError:
            new.close()
            raise
        self._file.close()
        self._file, self._size = new, len(octets)
        _sync_folder(self._path.parent)

    def _append(self, line: bytes) -> None:
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), self._size)
            raise
        self._size += len(line)

    def _read(self) -> tuple[list[JournalEntry], int]:
        """Return the entries of the file, and its length in octets without an unfinished last line."""
        self._file.seek(0)
        octets = self._file.read()
        if self._head.startswith(octets):
            # New, or its first line was not finished.
            size = len(octets) if octets == self._head else 0
            os.ftruncate(self._file.fileno(), size)
            return [], size
        if not octets.startswith(self._head):
            raise JournalError(f"{self._path}: it is no journal of this inventory")
        size = octets.rindex(b"\n") + 1
        try:
            entries = [_entry(line) for line in octets[len(self._head) : size].splitlines()]
        except (ValueError, KeyError, TypeError) as error:
            raise JournalError(f"{self._path}: it is damaged: {error}") from None
        # The request of an unfinished line was never answered, so it may be dropped.
        os.ftruncate(self._file.fileno(), size)
        return entries, size


def _line(written: dict[str, Any]) -> bytes:
    return json.dumps(written).encode() + b"\n"


def _entry(line: bytes) -> JournalEntry:
    found = json.loads(line)
    entry = JournalEntry(float(found["t"]), found["method"], found["path"], found["body"])
    if not all(isinstance(item, str) for item in entry[1:]):
        raise ValueError(f"not a request: {line.decode()}")
    return entry


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ManagerApplication:
    """WSGI application of a manager service with its journal and a clock."""

    def __init__(
        self,
        service: ManagerService,
        journal: RequestJournal | None,
        clock: Callable[[], float] = time.time,
        names: tuple[str, ...] = (),
        limit: Limit = lambda seconds: nullcontext(),
        ask: AskBridge | None = None,
    ) -> None:
        """
        Args:
            clock: Unix time in seconds.
            names: host names that a request may address, besides the addresses of the server.
            limit: bounds the time in which a body has to arrive.
            ask: asks the bridge for its room, before a goal begins and when it has refused; None: there is none to ask.
        """
        self.service = service
        self._names = names
        self._limit = limit
        self._journal = journal
        self._clock = clock
        self._ask = ask
        self._last = 0.0
        self._acquired: AcquiredVms = {}
        for entry in journal.entries() if journal else ():
            self._last = entry.t
            self._do(entry)
        self._compact()
        self._go_on()

    @wsgify
    def __call__(self, request: Request) -> Response:
        """Serve one request."""
        try:
            screen(request, self._names)
            path, body = request.path_info, read_body(request, self._limit).decode("utf-8")
        except UnicodeDecodeError:
            return _error(400, "the URL or the body is not UTF-8")
        except NotServedError as refused:
            abandon(request)
            return _error(refused.status, refused.reason)
        try:
            return _response(self._carry_out(request.method, path, body))
        except OSError as error:
            return _error(503, f"the journal cannot be written: {error.strerror}")

    def awaited(self) -> list[AwaitedStep]:
        """The steps that wait for components, once what is due has been done.

        Raises:
            OSError: the journal cannot be written.
        """
        self._catch_up(self._now())
        goal = self.service.pursuits[-1] if self.service.pursuits else None
        handed = goal.handed.items() if goal is not None else ()
        return [
            AwaitedStep(
                goal.number if goal is not None else 0,
                number,
                do.step,
                do.source if do.step is MoveStep.AWAIT_RELEASE else do.node,
                tuple(face.vsi for face in self.service.inventory.vms[do.vm].interfaces),
            )
            for number, do in handed
            if do.step in AWAITING
        ]

    def answer(self, awaited: AwaitedStep, failure: str | None) -> None:
        """Answer a step as a request does; one that has been answered meanwhile stays as it is.

        Raises:
            OSError: the journal cannot be written.
        """
        body = {"step": awaited.number, **({} if failure is None else {"failure": failure})}
        self._carry_out("POST", f"/vcm/goals/{awaited.goal}/answers", json.dumps(body))

    def acquire(self, found: AcquiredVms) -> bool:
        """Take descriptors, of all VMs; returns True if they have changed.

        Raises:
            UnfitError: they are not those of VMs which may run.
            OSError: the journal cannot be written.
        """
        if found == self._acquired:
            return False
        with_acquired(self.service.inventory, found)
        now = self._now()
        self._catch_up(now)
        entry = JournalEntry(now, path=_ACQUIRED, body=_packed(found))
        if self._journal is not None:
            self._journal.note(entry)
        self._do(entry)
        self._compact()
        return True

    def _now(self) -> float:
        # Never earlier than the last request: a system clock that is set back would reorder the journal.
        self._last = max(self._last, self._clock())
        return self._last

    def _carry_out(self, method: str, path: str, body: str) -> ManagerReply:
        entry = JournalEntry(self._now(), method, path, body)
        self._catch_up(entry.t)
        self._look_for_room(entry)
        if self._journal is not None and changes(method, path):
            self._journal.note(entry)
        reply = self._do(entry)
        self._compact()
        return reply

    def _compact(self) -> None:
        """Begin a large journal anew, as soon as no goal is open; goals are known until the next restart."""
        if self._journal is None or self._journal.size < COMPACT_FROM:
            return
        snapshot = snapshot_of(self.service)
        if snapshot is not None:
            with suppress(OSError):  # the journal is as it was
                whole = {**snapshot, _ACQUIRED: self._acquired}
                self._journal.compact(JournalEntry(self._last, path=_SNAPSHOT, body=json.dumps(whole)))

    def _look_for_room(self, entry: JournalEntry) -> None:
        """Ask the bridge if a goal may begin with this entry, or a step has failed.

        Raises:
            OSError: the journal cannot be written.
        """
        begins = entry.method != "GET" and entry.path.strip("/") in _BEGINNINGS and not self.service.is_busy
        if self._ask is None or not (begins or (entry.path.endswith("/answers") and '"failure"' in entry.body)):
            return
        found = JournalEntry(entry.t, path=_ROOM, body=_packed(self._ask()))
        if self._journal is not None:
            self._journal.note(found)
        self._do(found)

    def _do(self, entry: JournalEntry) -> ManagerReply:
        if entry.path == _SNAPSHOT and not entry.method:
            snapshot = json.loads(entry.body)
            self._take(snapshot.get(_ACQUIRED, {}))  # an earlier version did not write it
            restore(self.service, snapshot)
            return ManagerReply(200, {})
        if entry.path == _ACQUIRED and not entry.method:
            self._take(_unpacked(entry.body))
            return ManagerReply(200, {})
        if entry.path == _ROOM and not entry.method:
            answers = _unpacked(entry.body)
            room = NO_ROOM_KNOWN if answers is None else room_of(BridgeAnswers(*answers))
            self.service.asked(room, entry.t)
            return ManagerReply(200, {})
        if not entry.method:
            (self.service.restarted if entry.path == _RESTARTED else self.service.tick)(entry.t)
            return ManagerReply(200, {})
        return serve(self.service, entry.method, entry.path, entry.body.encode(), entry.t)

    def _take(self, found: AcquiredVms) -> None:
        self.service.acquired(found)
        self._acquired = found

    def _go_on(self) -> None:
        """Answers that came while no manager ran are not late: they can be repeated."""
        if self._journal is None or self.service.deadline is None:
            return
        self._last = max(self._last, self._clock())
        restart = JournalEntry(self._last, path=_RESTARTED)
        with suppress(OSError):  # as after the next restart, nothing has more time than it had
            self._journal.note(restart)
            self._do(restart)

    def _catch_up(self, now: float) -> None:
        deadline = self.service.deadline
        if deadline is not None and deadline <= now:
            passed = JournalEntry(now)
            self._look_for_room(passed)
            if self._journal is not None:
                self._journal.note(passed)
            self._do(passed)


def _packed(found: Any) -> str:
    """JSON data as a short text: the answers about a large cluster are megabytes, much alike."""
    return base64.b64encode(zlib.compress(json.dumps(found).encode())).decode()


def _unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


#: Paths of what may begin a goal: a deadline, a request, an observation.
_BEGINNINGS = ("", "vcm/goals", "vcm/observations")


def _error(status: int, reason: str) -> Response:
    return _response(ManagerReply(status, {"error": reason}))


def _response(reply: ManagerReply) -> Response:
    octets = json.dumps(reply.body).encode() + b"\n"
    return Response(body=octets, status=status_line(reply.status), content_type="application/json")


def serve_inventory(
    loaded: Loaded,
    text: str,
    host: str,
    port: int,
    journal: Path | None,
    access: DaemonAccess,
    ask: AskBridge | None = None,
    chores: Callable[[ManagerApplication], tuple[Chore, ...]] = lambda application: (),
) -> None:
    """Serve until a signal ends the process.

    Args:
        ask: see :class:`ManagerApplication`.
        chores: returns what is done between the requests.

    Raises:
        ClickException: a file cannot be used, the address is not available, or strangers would be let in.
    """

    def made(limit: Limit) -> ServedApplication:
        service = ManagerService(loaded.inventory, policies_of(loaded.file.policies))
        try:
            journals = RequestJournal(journal, text) if journal else None
            application = ManagerApplication(service, journals, names=access.names, limit=limit, ask=ask)
            if loaded.file.ovf:
                # What is pushed is in the journal, since a replay with other descriptors would be another one.
                application.acquire(acquired_of(loaded.inventory))
        except (JournalError, UnfitError) as error:
            raise click.ClickException(str(error)) from None
        goals = application.service.goals
        words = f"/vcm: {loaded.inventory.name}, {goals} goals so far"
        return ServedApplication(application, words, chores(application))

    serve_daemon(made, host, port, access)
