"""Coordination by hooks: the state of each step at each component, alarms, and a command that waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from click.testing import CliRunner, Result
from webob import Request

from ryu_apps.cli.nms import nms
from ryu_apps.nms.hooks import told
from ryu_apps.nms.schema import BridgeSection, HookSection, StatisticsSection
from ryu_apps.nms_server.application import NmsApplication
from ryu_apps.nms_server.bridge import BridgeClient
from ryu_apps.nms_server.collector import Collector
from ryu_apps.nms_server.database import Database
from ryu_apps.nms_server.hooks import HookRunner
from ryu_apps.nms_server.rollouts import RollOuts

HERE, THERE = "0000000000000001:1", "0000000000000002:1"
KINDS = {"stage": "flow.staged", "activate": "vsi.active", "fix-up": "state.fixed_up", "release": "vsi.gone"}
STEPS = list(KINDS)


class Nms:
    """An NMS of two bridges with two hooks, whose clock stands still; ``storage`` is told of one bridge alone."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.folder = folder
        self.hooks = {
            "vlans": HookSection(steps=STEPS, command=["/bin/sh", "-c", "test ! -e broken"], attempts=2, deadline=5),
            "storage": HookSection(steps=["fix-up"], command=["true"], bridges=["b"]),
        }
        self.database = Database(folder / "nms.db", lambda: self.now)
        bridges = [BridgeClient(name, BridgeSection(urls=["http://127.0.0.1:1"]), folder) for name in "ab"]
        self.collector = Collector(bridges, StatisticsSection(), self.database)
        roll_outs = RollOuts(bridges, self.database)
        self.application = NmsApplication(
            bridges, self.collector, (), self.hooks, self.database, roll_outs, clock=lambda: self.now
        )
        self._number = 0

    def happens(self, step: str, port: str = HERE, bridge: str = "a") -> None:
        self._number += 1
        event = {"id": f"1.{self._number}", "kind": KINDS[step], "vsi": "v", "port": port}
        self.database.note(bridge, event["id"], told(self.hooks, bridge, event))

    def makes(self, hook: str = "vlans") -> None:
        """Make the next call of a hook, whatever its time."""
        call = self.database.next_call(hook)
        assert call is not None
        HookRunner(hook, self.hooks[hook], self.database, self.folder, lambda: self.now).make(call)

    def get(self, path: str) -> Any:
        response = Request.blank(path).get_response(self.application)
        return response.json if response.status_code == 200 else response.status_code

    def states(self, port: str = HERE, bridge: str = "a") -> dict[str, str]:
        found = self.get(f"/nms/vsis/v/steps?bridge={bridge}&port={port}")
        return {f"{each['hook']} {each['step']}": each["state"] for each in found}

    def alarms(self) -> list[tuple[str, str, float | None]]:
        return [(each["alarm"], each["subject"], each["since"]) for each in self.get("/nms/alarms")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Nms]:
    site = Nms(tmp_path)
    yield site
    site.database.close()


def test_state_of_each_step_is_known_until_the_vsi_has_gone(site: Nms) -> None:
    nothing = {f"vlans {step}": "not told" for step in STEPS}
    assert site.states() == nothing
    site.happens("stage")
    assert site.states() == {**nothing, "vlans stage": "waiting"}
    site.makes()
    site.happens("activate")
    assert site.states() == {**nothing, "vlans stage": "done", "vlans activate": "waiting"}
    # At another port, and at another bridge, it is another matter.
    assert site.states(THERE) == nothing
    assert site.states(bridge="b") == {**nothing, "storage fix-up": "not told"}
    site.happens("release")
    assert site.states() == {**nothing, "vlans release": "waiting"}
    assert site.get("/nms/vsis/v/steps?bridge=a") == 400
    assert site.get("/nms/vsis/v/steps?bridge=c&port=p") == 404


def test_result_of_a_fix_up_is_known(site: Nms) -> None:
    (site.folder / "broken").touch()
    site.happens("fix-up", bridge="b")
    site.makes()
    (row,) = [each for each in site.get(f"/nms/vsis/v/steps?bridge=b&port={HERE}") if each["state"] != "not told"][:1]
    assert (row["hook"], row["state"], row["error"]) == ("vlans", "waiting", "/bin/sh: status 1")
    site.makes()
    site.makes("storage")
    found = site.states(bridge="b")
    assert (found["vlans fix-up"], found["storage fix-up"]) == ("failed", "done")


def test_hook_past_its_deadline_and_one_that_gives_up_are_alarms(site: Nms) -> None:
    (site.folder / "broken").touch()
    site.happens("stage")
    site.now = 1005.0
    assert site.alarms() == []
    site.now = 1005.5
    assert site.alarms() == [("hook.late", "vlans", 1000.0)]
    site.makes()
    site.makes()
    assert site.alarms() == [("hook.failed", "vlans", 1000.0)]
    # The next time it is done.
    (site.folder / "broken").unlink()
    site.happens("stage")
    site.makes()
    assert site.alarms() == []


def test_bridge_that_does_not_answer_is_an_alarm(site: Nms) -> None:
    site.collector.errors.update(a=None, b="refused")
    (alarm,) = site.get("/nms/alarms")
    assert (alarm["alarm"], alarm["subject"], alarm["words"]) == ("silent.bridge", "b", "refused")


def test_rows_are_pruned_with_all_else(site: Nms) -> None:
    site.happens("stage")
    site.makes()
    site.happens("stage", THERE)
    site.makes()
    site.database.prune(0.0, 1, 100)
    assert [site.states(port)["vlans stage"] for port in (HERE, THERE)].count("done") == 1
    site.database.prune(1001.0, 100, 100)
    assert site.states(THERE)["vlans stage"] == "not told"


def test_database_of_the_last_version_is_taken_on(tmp_path: Path) -> None:
    Database(tmp_path / "nms.db").close()
    with sqlite3.connect(tmp_path / "nms.db") as before:
        before.execute("DROP TABLE step")
        before.execute("PRAGMA user_version = 1")
    site = Nms(tmp_path)
    site.happens("stage")
    assert site.states()["vlans stage"] == "waiting"
    site.database.close()


# --- the command --------------------------------------------------------------------------------------
class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def served(site: Nms) -> Iterator[str]:
    with make_server("127.0.0.1", 0, site.application, handler_class=_Silent) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def awaited(url: str, step: str, patience: str) -> Result:
    words = ["await", "v", step, "--bridge", "a", "--port", HERE, "--patience", patience, "--rest", url]
    return CliRunner().invoke(nms, words)


def test_command_ends_when_all_hooks_have_done_the_step(site: Nms) -> None:
    with served(site) as url:
        assert awaited(url, "stage", "0").exit_code == 1
        site.happens("stage")
        late = awaited(url, "stage", "0")
        assert (late.exit_code, late.output) == (1, "vlans: waiting\n")
        waiting = Thread(target=site.makes)
        waiting.start()
        done = awaited(url, "stage", "20")
        waiting.join()
        assert (done.exit_code, done.output) == (0, "vlans: done\n")
        (site.folder / "broken").touch()
        site.happens("activate")
        site.makes()
        site.makes()
        failed = awaited(url, "activate", "20")
        assert (failed.exit_code, failed.output) == (1, "vlans: failed: /bin/sh: status 1\n")
