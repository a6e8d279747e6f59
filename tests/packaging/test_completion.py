"""Completion of the command line for shells, as packages have it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EVBRIDGE = Path(sys.executable).with_name("evbridge")


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert done.stderr == ""
    return done.stdout


def test_each_shell_has_a_file_and_bash_completes_by_it(tmp_path: Path) -> None:
    run(str(ROOT / "tools/completion"), sys.executable, str(EVBRIDGE), str(tmp_path))
    assert {file.name for file in tmp_path.iterdir()} == {"evbridge", "_evbridge", "evbridge.fish"}
    assert (tmp_path / "_evbridge").read_text().startswith("#compdef evbridge\n")
    assert "complete --no-files --command evbridge" in (tmp_path / "evbridge.fish").read_text()
    program, file = shlex.quote(str(EVBRIDGE)), shlex.quote(str(tmp_path / "evbridge"))
    typed = f"COMP_WORDS=({program} events --f); COMP_CWORD=2; _evbridge_completion {program} --f"
    assert run("bash", "-c", f". {file}; {typed}; echo ${{COMPREPLY[@]}}") == "--follow\n"
