"""The file from which a station daemon takes its VSIs up."""

from __future__ import annotations

from pathlib import Path

import pytest

from ryu_apps.station_daemon.state_file import StateFile

VSIS = [{"vsi": "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f", "type": 10}]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    assert file.read() == []

    file.write(VSIS)

    assert StateFile(tmp_path / "state.json").read() == VSIS
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert file.path.stat().st_mode & 0o077 == 0


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    file.write(VSIS)
    (tmp_path / "state.json.new").mkdir()

    with pytest.raises(IsADirectoryError):
        file.write([])

    assert file.read() == VSIS


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": 2, "vsis": []}', '{"version": 1}', '{"version": 1, "vsis": {}}']
)
def test_another_file_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    file = StateFile(tmp_path / "state.json")
    file.path.write_text(text)

    with pytest.raises(ValueError, match="not a state file"):
        file.read()

    assert file.path.read_text() == text
