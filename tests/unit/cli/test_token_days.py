"""Days on which tokens expire, as the command line takes and shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ryu_apps.cli.main import main
from ryu_apps.rest.tokens import read_tokens

TODAY = datetime.now(UTC).date()


def token(file: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["token", words[0], "--file", str(file), *words[1:]])


@pytest.mark.parametrize("days", [-400, -1])
def test_token_of_the_past_is_not_made(tmp_path: Path, days: int) -> None:
    day = TODAY + timedelta(days)
    result = token(tmp_path / "tokens", "create", "guest", "--role", "read", "--expires", str(day))
    assert result.exit_code == 1
    assert f"a token that expires on {day} is never accepted" in result.output
    assert not (tmp_path / "tokens").exists()


def test_expired_tokens_are_marked(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    later = TODAY + timedelta(30)
    assert token(file, "create", "later", "--role", "read", "--expires", str(later)).exit_code == 0
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}{text.splitlines()[-1].replace('later:', 'past:').replace(str(later), '2026-01-01')}\n")
    assert [entry.name for entry in read_tokens(file)] == ["later", "past"]
    listed = token(file, "list").output.splitlines()
    assert [line.endswith("(expired)") for line in listed] == [False, True]
