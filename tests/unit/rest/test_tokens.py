"""The file of tokens: its form, its mistakes, and what a running bridge does when it changes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ryu_apps.rest.tokens import Role, Token, TokenFile, TokensError, new_token, read_tokens

DIGEST = "0" * 64


def written(folder: Path, *lines: object) -> Path:
    path = folder / "tokens"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_token_is_written_and_read_back_without_its_text(tmp_path: Path) -> None:
    text, made = new_token("grafana@site-1", Role.READ, date(2027, 1, 31))
    path = written(tmp_path, "# a comment", "", made)
    assert read_tokens(path) == [made]
    assert len(text) == len("evb_") + 43 and text not in path.read_text()


def test_two_tokens_are_never_the_same() -> None:
    assert new_token("a", Role.READ)[0] != new_token("a", Role.READ)[0]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "-a", "a" * 65, "a\n"])
def test_a_name_that_would_spoil_the_file_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        new_token(name, Role.READ)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a:read:", "name:role:expires:hash was expected"),
        (f"a:read::{DIGEST}:more", "name:role:expires:hash was expected"),
        (f"a:read::{DIGEST[1:]}", "name:role:expires:hash was expected"),
        (f":read::{DIGEST}", "name:role:expires:hash was expected"),
        (f"a:root::{DIGEST}", "'root' is not a role; there are: read, operate, admin"),
        (f"a:read:soon:{DIGEST}", "Invalid isoformat string: 'soon'"),
        (f"b:read::{DIGEST}", "there is another token 'b'"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path, "# comment", f"b:admin::{DIGEST}", line)
    with pytest.raises(TokensError) as told:
        read_tokens(path)
    assert str(told.value) == f"{path}:3: {reason}"


@pytest.mark.parametrize(("octets", "reason"), [(b"\xff", "not UTF-8"), (b"#" * 1_000_001, "more than 1000000 octets")])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, octets: bytes, reason: str) -> None:
    (tmp_path / "tokens").write_bytes(octets)
    with pytest.raises(TokensError, match=reason):
        TokenFile(tmp_path / "tokens")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokensError, match=r"tokens: No such file"):
        TokenFile(tmp_path / "tokens")


@pytest.mark.parametrize(
    ("moment", "accepted"),
    [(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), True), (datetime(2027, 1, 1, tzinfo=UTC), False)],
)
def test_a_token_expires_when_its_day_begins(tmp_path: Path, moment: datetime, accepted: bool) -> None:
    text, made = new_token("a", Role.READ, date(2027, 1, 1))
    file = TokenFile(written(tmp_path, made))
    assert (file.find(text, moment.timestamp()) is not None) is accepted


def test_changes_of_the_file_count_from_the_next_request_on(tmp_path: Path) -> None:
    first, second = (new_token(name, Role.ADMIN) for name in ("first", "second"))
    file = TokenFile(written(tmp_path, first[1]))

    def known() -> list[str]:
        found = [file.find(text, 0.0) for text in (first[0], second[0], "evb_guess", "", "\udcff")]
        return [token.name for token in found if isinstance(token, Token)]

    assert known() == ["first"]
    written(tmp_path, first[1], second[1])
    assert known() == ["first", "second"]
    written(tmp_path, second[1])
    assert known() == ["second"]
    # Whoever was revoked by an edit that went wrong is not let in, nor is anybody else.
    written(tmp_path, second[1], "half a li")
    assert known() == [] and file.fault is not None
    (tmp_path / "tokens").unlink()
    assert known() == [] and "No such file" in str(file.fault)
    written(tmp_path, first[1])
    assert known() == ["first"] and file.fault is None
