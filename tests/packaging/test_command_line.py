"""The evbridge command as a user meets it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ryu_apps.cli.main import SUBCOMMANDS, main
from ryu_apps.cli.run import arguments
from tests.worlds.manual import blocks

EVBRIDGE = Path(sys.executable).parent / "evbridge"


def evbridge(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([EVBRIDGE, *words], capture_output=True, text=True, timeout=120)


def test_help_names_every_subcommand() -> None:
    shown = evbridge("--help").stdout
    assert [name for name in SUBCOMMANDS if f"\n  {name} " not in shown] == []


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: main {name}")


def test_help_imports_no_subcommand() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from ryu_apps.cli.main import main;"
        "CliRunner().invoke(main, ['--help']);"
        "print(*(name for name in sys.modules if name.startswith('ryu_apps.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["ryu_apps.cli.main"]


def test_run_becomes_ryu_manager(tmp_path: Path) -> None:
    config = tmp_path / "evbridge.yaml"
    config.touch()
    done = evbridge("run", "--config", str(config), "--version")
    assert done.stdout == "ryu-manager 4.34\n", done.stderr


def test_run_says_which_configuration_is_missing(tmp_path: Path) -> None:
    done = evbridge("run", "--config", str(tmp_path / "absent.yaml"))
    assert done.returncode == 2
    assert "absent.yaml" in done.stderr


def test_what_the_user_says_comes_last_and_so_wins() -> None:
    command = arguments(None, "info", ("--wsapi-host", "192.0.2.1", "ryu.app.ofctl_rest"))
    assert command[-3:] == ["--wsapi-host", "192.0.2.1", "ryu.app.ofctl_rest"]


@pytest.mark.parametrize(
    "command",
    [
        ("topology", "two_switch", "-o", "/no/such/file"),
        ("topology", "two_switch", "--svg", "/no/such/file"),
        ("topology", "two_switch", "--mininet", "/no/such/file"),
    ],
    ids=lambda command: command[2],
)
def test_a_file_that_cannot_be_written_is_one_line(command: tuple[str, ...]) -> None:
    done = subprocess.run([EVBRIDGE, *command], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: /no/such/file: No such file or directory\n")


def test_a_move_by_the_manual_without_a_qemu_is_one_line(tmp_path: Path) -> None:
    command = blocks("docs/station.rst", "QEMU alone")[0].replace("\\\n", " ")
    words = [str(tmp_path / word) if word.endswith(".qmp") else word for word in shlex.split(command)[1:]]
    done = evbridge(*words)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "vm1.qmp" in done.stderr
