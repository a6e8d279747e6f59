"""The table of what users see: its commands exist, the frame that it explains is one, and its tests are there."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ryu_apps.cli.main import main
from ryu_apps.evb.explanation.written_frame import read_fields

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/contributing/shown.rst").read_text()
COMMANDS = [words.split() for words in re.findall(r"``evbridge ([^`]+)``", PAGE)]


def test_each_command_exists() -> None:
    assert len(COMMANDS) > 5
    context = click.Context(main)
    assert [words for words in COMMANDS if main.get_command(context, words[0]) is None] == []


def test_the_frame_that_is_explained_is_a_frame() -> None:
    (fields,) = (words[2:] for words in COMMANDS if words[0] == "explain")
    found = read_fields(fields)
    assert (found["eth_type"], found["eth_dst"], found["arp_op"]) == (0x0806, 0xFFFFFFFFFFFF, 1)


def test_each_test_is_there() -> None:
    paths = re.findall(r"``((?:tests|mininet_tests)/[^`]+)``", PAGE)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
