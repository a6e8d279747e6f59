"""Calls of hooks: by a command or a POST, in order, within their deadline, again when they fail, and not for ever."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ryu_apps.nms.schema import HookSection
from ryu_apps.nms_server.database import Database
from ryu_apps.nms_server.hooks import HookRunner


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "nms.db")
    yield database
    database.close()


def runner(database: Database, folder: Path, now: list[float] | None = None, **section: Any) -> HookRunner:
    hook = HookSection(steps=["stage"], **section)
    clock = time.time if now is None else lambda: now[0]
    return HookRunner("h", hook, database, folder, clock)


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def made(database: Database, made_by: HookRunner) -> None:
    call = database.next_call("h")
    assert call is not None
    made_by.make(call)


def test_command_gets_each_call_on_its_standard_input(database: Database, tmp_path: Path) -> None:
    tells = runner(database, tmp_path, command=shell("cat >> told"))
    for number in range(3):
        database.note("a", f"1.{number}", {"h": {"id": f"a/1.{number}"}})
    for _ in range(3):
        made(database, tells)
    told = [json.loads(line)["id"] for line in (tmp_path / "told").read_text().splitlines()]
    assert told == ["a/1.0", "a/1.1", "a/1.2"]
    assert database.next_call("h") is None
    assert database.hook("h")[:3] == (0, 3, 0)


def test_command_that_fails_is_called_again_and_given_up(database: Database, tmp_path: Path) -> None:
    now = [100.0]
    fails = runner(database, tmp_path, now, command=shell("echo no room >&2; exit 3"), attempts=2)
    database.note("a", "1.1", {"h": {}})
    made(database, fails)
    call = database.next_call("h")
    assert call is not None and (call.attempts, call.due) == (1, 101.0)
    assert database.hook("h") == (1, 0, 0, "/bin/sh: status 3: no room")
    made(database, fails)
    assert database.hook("h") == (0, 0, 1, "/bin/sh: status 3: no room")


def test_command_beyond_its_deadline_is_ended_with_all_that_it_has_started(database: Database, tmp_path: Path) -> None:
    slow = runner(database, tmp_path, command=shell("sleep 600 & echo $! > child; wait"), deadline=0.3, attempts=1)
    database.note("a", "1.1", {"h": {}})
    made(database, slow)
    assert database.hook("h").error == "/bin/sh: not done within 0.3 s"
    child = Path("/proc") / (tmp_path / "child").read_text().strip() / "stat"
    deadline = time.monotonic() + 10
    while child.exists() and child.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_missing_command_is_said_so(database: Database, tmp_path: Path) -> None:
    missing = runner(database, tmp_path, command=["./missing"], attempts=1)
    database.note("a", "1.1", {"h": {}})
    made(database, missing)
    assert database.hook("h").error == "./missing: No such file or directory"


class _Target(BaseHTTPRequestHandler):
    """Takes calls; a path ``/slow`` is answered a byte at a time."""

    taken: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        self.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if self.path == "/slow":
            try:
                while True:
                    self.wfile.write(b"H")
                    time.sleep(0.05)
            except OSError:
                return
        self.send_response(500 if self.path == "/no" else 204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def target() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Target) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        _Target.taken.clear()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_url_gets_each_call_as_a_post(database: Database, tmp_path: Path, target: str) -> None:
    database.note("a", "1.1", {"h": {"id": "a/1.1"}})
    made(database, runner(database, tmp_path, url=target))
    assert _Target.taken == [{"id": "a/1.1"}] and database.hook("h")[:3] == (0, 1, 0)


@pytest.mark.parametrize(("path", "reason"), [("/no", "HTTP 500"), ("/slow", "")])
def test_url_that_refuses_or_does_not_end_fails(
    database: Database, tmp_path: Path, target: str, path: str, reason: str
) -> None:
    database.note("a", "1.1", {"h": {}})
    made(database, runner(database, tmp_path, url=target + path, deadline=0.4, attempts=1))
    assert database.hook("h")[:3] == (0, 0, 1) and reason in (database.hook("h").error or "")


def test_calls_are_made_after_a_restart(tmp_path: Path) -> None:
    before = Database(tmp_path / "nms.db")
    before.note("a", "1.7", {"h": {"id": "a/1.7"}})
    before.close()
    after = Database(tmp_path / "nms.db")
    assert after.place("a") == "1.7"
    stopped = threading.Event()
    tells = runner(after, tmp_path, command=shell("cat >> told"))
    thread = threading.Thread(target=tells.run, args=(stopped,))
    thread.start()
    deadline = time.monotonic() + 30
    while after.waiting("h") and time.monotonic() < deadline:
        time.sleep(0.01)
    stopped.set()
    thread.join()
    after.close()
    assert json.loads((tmp_path / "told").read_text()) == {"id": "a/1.7"}
