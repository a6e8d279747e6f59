"""vSwitches of a bridge that runs: read anew on request and by SIGHUP, whole or not at all."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from tests.app.test_starting import LAUNCHERS, Start, started
from tests.interop.private_ovs import wait_for

VSWITCHES = "vswitches:\n  dvs1: {members: [vs1, vs2], native_vlan: 100}\n"
CONFIG = """\
version: 1
dps:
  s1:
    dp_id: 0x1
    interfaces:
      21: {name: vs1, role: trunk, link: {dp: vs1, port: 1}}
      22: {name: vs2, role: trunk, link: {dp: vs2, port: 1}}
  vs1:
    dp_id: 0x11
    interfaces:
      1: {name: s1, role: trunk, link: {dp: s1, port: 21}}
      2: {name: hv1, role: local_station}
  vs2:
    dp_id: 0x12
    interfaces:
      1: {name: s1, role: trunk, link: {dp: s1, port: 22}}
      2: {name: hv2, role: local_station}
"""


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "evbridge.yaml").write_text(CONFIG + VSWITCHES)
    with ExitStack() as stack:
        start = started(stack, LAUNCHERS["evbridge"], tmp_path)
        start.await_serving()
        yield start


def answer(bridge: Start, path: str, method: str = "GET") -> tuple[int, Any]:
    asked = Request(f"http://127.0.0.1:{bridge.rest}{path}", method=method)
    try:
        with build_opener(ProxyHandler({})).open(asked, timeout=60) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


def limits(bridge: Start) -> dict[str, int | None]:
    return {found["name"]: found["max_vsis"] for found in answer(bridge, "/evb/vswitches")[1]}


def test_a_reload_changes_all_members_or_nothing(bridge: Start, tmp_path: Path) -> None:
    file = tmp_path / "evbridge.yaml"
    assert limits(bridge) == {"dvs1": None}
    file.write_text(
        CONFIG + VSWITCHES.replace("100}", "100, max_vsis: 5}") + "  svs1: {members: [vs1], native_vlan: 200}\n"
    )
    assert answer(bridge, "/evb/reload", "POST")[0] == 200
    assert limits(bridge) == {"dvs1": 5, "svs1": None}
    file.write_text(CONFIG + VSWITCHES + "  svs1: {members: [vs1], native_vlan: 100}\n")
    status, refused = answer(bridge, "/evb/reload", "POST")
    assert status == 409 and "20:20" in json.dumps(refused), refused
    assert limits(bridge) == {"dvs1": 5, "svs1": None}
    file.write_text(CONFIG + VSWITCHES)
    bridge.process.send_signal(signal.SIGHUP)
    wait_for(lambda: limits(bridge) == {"dvs1": None}, "the file of before")
