"""``make shown``: a picture or a text of each thing that users see, of the demo while a VM moves."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

from tests.app.test_evb_rest import free_port
from tools.shown import ANSWERS, COMMANDS, LOOKS, MANUAL

#: Words of the tables of each command.
WORDS = {
    "status": "ready",
    "vsis": "active",
    "migrations": "completed",
    "flows": "PRIORITY",
    "stations": "hv1",
    "events": "vdp.request",
    "explain": "ADMIT",
}


def width_of(picture: Path) -> int:
    signature, width = struct.unpack(">16sI", picture.read_bytes()[:20])
    assert signature.startswith(b"\x89PNG")
    return int(width)


def test_all_that_users_see_is_written_in_one_go(private_network: None, tmp_path: Path) -> None:
    manual, folder = tmp_path / "manual", tmp_path / "shown"
    manual.mkdir()
    for name in MANUAL:
        (manual / f"{name}.html").write_text(f"<!doctype html><title>{name}</title><h1>{name}</h1>")
    command = [sys.executable, "-m", "tools.shown", "--output", folder, "--manual", manual, "--port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, look in LOOKS.items():
        assert width_of(folder / f"{name}.png") == look.width
    light, dark = (folder / f"page-{scheme}.png" for scheme in ("light", "dark"))
    assert light.read_bytes() != dark.read_bytes()
    assert all(width_of(folder / f"manual-{name}-telephone.png") == 390 for name in MANUAL)
    assert {words[0] for words in COMMANDS} < set(WORDS)
    for command_of, words in WORDS.items():
        assert words in (folder / f"{command_of}.txt").read_text(), command_of
    assert all((folder / name).stat().st_size for name in ANSWERS.values())
    assert "data: {" in (folder / "events-stream.txt").read_text()
    index = (folder / "index.html").read_text()
    assert all(file.name in index for file in folder.iterdir() if file.is_file() and file.name != "index.html")
