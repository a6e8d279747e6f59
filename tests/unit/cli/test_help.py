"""The lists of commands: each has a whole sentence in a terminal of 80 columns."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from ryu_apps.cli.main import SUBCOMMANDS, main

GROUPS = [name for name in SUBCOMMANDS if isinstance(main.get_command(click.Context(main), name), click.Group)]


def test_there_are_groups() -> None:
    assert {"cluster", "nms", "ovf", "station", "token", "vcm"} <= set(GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_no_line_of_a_list_of_commands_is_cut(group: str) -> None:
    result = CliRunner().invoke(main, [group, "--help"], terminal_width=80)
    _, heading, commands = result.output.partition("Commands:\n")
    assert heading
    assert [line for line in commands.splitlines() if line.endswith("...")] == []
