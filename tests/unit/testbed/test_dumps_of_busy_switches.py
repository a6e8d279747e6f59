"""A dump that a busy switch did not answer is asked for anew; any other failure is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ryu_apps.testbed.harness.ovs import dump_flows, dump_groups
from ryu_apps.testbed.harness.shell import CommandError


def offer(folder: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """An ``ovs-ofctl`` that fails with these words at first."""
    program = folder / "ovs-ofctl"
    asked = folder / "asked"
    answer = "echo ' cookie=0x1, table=0 actions=drop'; echo ' group_id=7,type=all'"
    program.write_text(f"#!/bin/sh\n[ -e {asked} ] || {{ touch {asked}; echo '{words}' >&2; exit 1; }}\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_a_broken_pipe_is_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, monkeypatch, "ovs-ofctl: s1.mgmt: failed to open socket (Broken pipe)")
    assert "cookie=0x1, table=0 actions=drop" in dump_flows("s1")
    assert dump_groups("s1") == ["group_id=7,type=all"]


def test_any_other_failure_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, monkeypatch, "ovs-ofctl: s1 is not a bridge or a socket")
    with pytest.raises(CommandError, match="is not a bridge"):
        dump_flows("s1")
