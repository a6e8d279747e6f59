"""Logs of the services beside the bridge: lines in its format, text or JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.test_starting import HEAD

ROOT = Path(__file__).parents[2]
EVBRIDGE = str(Path(sys.executable).with_name("evbridge"))
NMS = 'version: 1\nstate_dir: state\nbridges: {a: {urls: ["http://127.0.0.1:1"]}}\n'
SERVICES = {
    "vcm": ("vcm", "serve", str(ROOT / "mininet_tests/inventories/two-switch.yaml"), "--port", "0"),
    "nms": ("nms", "serve", "nms.yaml", "--port", "0"),
    "station": ("station", "run", "no-such0", "--control", "control", "--state", "state.json"),
}


@pytest.mark.parametrize("service", SERVICES)
def test_a_format_that_does_not_exist_is_refused_by_every_service(tmp_path: Path, service: str) -> None:
    (tmp_path / "nms.yaml").write_text(NMS)
    done = subprocess.run(
        [EVBRIDGE, *SERVICES[service]],
        cwd=tmp_path,
        env=os.environ | {"EVBRIDGE_LOG_FORMAT": "xml"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: EVBRIDGE_LOG_FORMAT=xml: text or json was expected\n"


def logged(tmp_path: Path, **environment: str) -> str:
    """Log of a program that begins it as the services do, and that has an event."""
    program = (
        "import logging; from ryu_apps.process.logs import log_to_stderr; log_to_stderr();"
        "from ryu_apps.evb.event_catalogue.switches import SwitchAwaited; from ryu_apps.event_log import log_event;"
        "logging.debug('unsaid'); log_event(logging.getLogger('services'), SwitchAwaited(1))"
    )
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-c", program]
        subprocess.run(command, stderr=log, env=os.environ | environment, timeout=60, check=True)
    return (tmp_path / "log").read_text()


def test_a_line_has_time_component_and_level(tmp_path: Path) -> None:
    assert re.fullmatch(HEAD + r"switch\.awaited 0000000000000001\n", logged(tmp_path))


def test_the_journal_writes_the_time(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    status = (tmp_path / "log").stat()
    text = logged(tmp_path, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
    assert text == "services INFO switch.awaited 0000000000000001\n"


def test_a_line_of_json_has_the_fields_of_the_event(tmp_path: Path) -> None:
    line = json.loads(logged(tmp_path, EVBRIDGE_LOG_FORMAT="json"))
    assert (line["component"], line["level"]) == ("services", "info")
    assert line["event"] == {
        "kind": "switch.awaited",
        "dpid": "0000000000000001",
        "port": None,
        "vsi": None,
        "detail": {},
    }
