"""Diagnostics of policies damaged in many ways, recorded as text: a changed place or reason is a readable diff.

Recorded with ``EVBRIDGE_UPDATE_GOLDEN=1 pytest tests/golden/test_policy_mistakes.py``; the commit says why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS

RECORDED = Path(__file__).parent / "mistakes"
POLICIES = Path(__file__).parents[2] / "policies"
#: What is put in the place of one value after the other.
PIECES = ("", "[", "'", "*none", "&a *a", "!!set x", "yes", "010", "{a: 1, a: 2}", "\x01", "%", "? [1]")


def damaged(text: str) -> Iterator[tuple[str, str]]:
    """Yield what is done to a text, and the text that comes of it."""
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        yield f"without line {number}", "\n".join(lines[: number - 1] + lines[number:])
        yield f"line {number} twice", "\n".join([*lines[:number], *lines[number - 1 :]])
        piece = PIECES[number % len(PIECES)]
        head, colon, _ = line.rpartition(": ")
        if colon:
            yield (
                f"line {number} ends in {piece!a}",
                "\n".join([*lines[: number - 1], head + colon + piece, *lines[number:]]),
            )


def told(text: str) -> Iterator[str]:
    for change, broken in damaged(text):
        yield f"# {change}"
        _, diagnostics = load_policies([("x", broken)], SECTIONS)
        yield from (str(diagnostic).removeprefix("x:") for diagnostic in diagnostics)


@pytest.mark.parametrize("name", ["web_server", "database", "shop_web"])
def test_mistakes_are_told_as_recorded(name: str) -> None:
    (policy,) = POLICIES.rglob(f"{name}.yaml")
    found = list(told(policy.read_text()))
    recording = RECORDED / f"{name}.txt"
    if os.environ.get("EVBRIDGE_UPDATE_GOLDEN"):
        recording.parent.mkdir(exist_ok=True)
        recording.write_text("\n".join(found) + "\n")
    assert found == recording.read_text().splitlines()
