"""Roll-outs as an operator begins them: the command, the NMS, and two bridges, of which one refuses or dies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from webob import Request

from ryu_apps.evb.wire.vdp import VdpMode
from tests.app.test_evb_rest import Server, serving
from tests.worlds.bridge import HV1, OPEN, Vm, two_switches
from tests.worlds.rest import RestWorld
from tests.worlds.served import served

EVBRIDGE = Path(sys.executable).with_name("evbridge")


def policy(folder: Path, version: int, type_id: int = 7, verdict: str = "allow") -> Path:
    path = folder / f"{type_id}-{version}.yaml"
    path.write_text(
        f"version: 1\nvsi_type: {{type_id: {type_id}, version: {version}, name: seven}}\n"
        f"from_vm: {{default: {verdict}}}\nto_vm: {{default: allow}}\n"
    )
    return path


@contextmanager
def nms(folder: Path, urls: Mapping[str, str]) -> Iterator[str]:
    """Run ``evbridge nms serve``; yields its URL."""
    bridges = "".join(f"  {name}: {{urls: ['{url}']}}\n" for name, url in urls.items())
    (folder / "nms.yaml").write_text(f"version: 1\nstate_dir: state\nbridges:\n{bridges}")
    command = [EVBRIDGE, "nms", "serve", "nms.yaml", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (
        (folder / "nms.log").open("a") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=folder
        ) as process,
    ):
        try:
            assert process.stdout is not None
            found = re.match(r"(http://127\.0\.0\.1:\d+)/nms", process.stdout.readline())
            assert found, (folder / "nms.log").read_text()
            yield found[1]
        finally:
            process.terminate()


def roll_out(url: str, *paths: Path) -> tuple[int, str, str]:
    """Run the command; returns its status, its output and its errors."""
    done = subprocess.run(
        [EVBRIDGE, "nms", "roll-out", *map(str, paths), "--rest", url], capture_output=True, text=True, timeout=180
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def serves(url: str, version: int, type_id: int = 7) -> bool:
    """True if bridges get a type."""
    try:
        with urlopen(f"{url}/nms/vsitypes/{type_id}/{version}.yaml", timeout=60) as answer:
            return bool(answer.status == 200)
    except HTTPError as error:
        if error.code != 404:
            raise
        return False


def test_bridge_that_refuses_leaves_all_as_it_was(tmp_path: Path) -> None:
    first, second = RestWorld(fabric=two_switches()), RestWorld(fabric=two_switches())
    for world in (first, second):
        world.connect()
    second.ask(HV1, Vm(1), VdpMode.PREASSOCIATE_RR)
    with served(first) as a, served(second) as b, nms(tmp_path, {"a": a, "b": b}) as url:
        assert roll_out(url, policy(tmp_path, 1)) == (0, "roll-out 1: done", "")
        status, told, reasons = roll_out(url, policy(tmp_path, 2), policy(tmp_path, OPEN.version, OPEN.type_id, "deny"))
        assert (status, told) == (1, "roll-out 2: refused")
        assert reasons.startswith("b: ") and reasons.endswith("is in use with another content: give it a new version")
        assert serves(url, 1) and not serves(url, 2) and not serves(url, OPEN.version, OPEN.type_id)
        assert roll_out(url, policy(tmp_path, 2)) == (0, "roll-out 3: done", "")
        assert serves(url, 2)


@contextmanager
def bridge(folder: Path) -> Iterator[Server]:
    folder.mkdir(exist_ok=True)
    with serving(folder, "ryu_apps.evb_bridge", "ryu_apps.evb_rest") as server:
        server.await_listening()
        yield server


def test_bridge_that_dies_between_check_and_swap_has_all_taken_back(tmp_path: Path) -> None:
    world = RestWorld(fabric=two_switches())
    world.connect()
    with ExitStack() as stack:
        other = stack.enter_context(bridge(tmp_path / "b"))
        doomed = False

        def asked(request: Request) -> None:
            # The first bridge is told, so both have passed the check.
            if doomed and request.path_info.endswith("/reload"):
                other.process.kill()
                other.process.wait(60)

        a = stack.enter_context(served(world, asked))
        url = stack.enter_context(nms(tmp_path, {"a": a, "b": f"http://127.0.0.1:{other.port}"}))
        assert roll_out(url, policy(tmp_path, 1))[:2] == (0, "roll-out 1: done")
        doomed = True
        status, told, reasons = roll_out(url, policy(tmp_path, 2))
        assert (status, told) == (1, "roll-out 2: taken back")
        assert reasons.startswith(f"b: http://127.0.0.1:{other.port}: ")
        assert serves(url, 1) and not serves(url, 2)
        # As long as it is dead nothing is rolled out, and nothing changes.
        status, told, _ = roll_out(url, policy(tmp_path, 2))
        assert (status, told) == (1, "roll-out 3: refused")
        assert serves(url, 1) and not serves(url, 2)


@pytest.mark.parametrize("words", [(), ("missing.yaml",)])
def test_command_without_policies_says_so(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run([EVBRIDGE, "nms", "roll-out", *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "Error" in done.stderr
