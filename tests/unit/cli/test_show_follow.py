"""``evbridge events --follow`` beside a bridge that is restarted: what is printed once, and from where it goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ryu_apps.cli import show
from ryu_apps.cli.rest_client import PushedEvent

Stream = list[PushedEvent | Exception]


def event(number: int) -> dict[str, Any]:
    return {"id": f"a-{number}", "kind": "link.up"}


def pushed(number: int) -> PushedEvent:
    return PushedEvent("", f"a-{number}", event(number))


class Bridge:
    """Answers of a bridge: the events that it keeps, and its streams, one after the other; then the user interrupts."""

    def __init__(self, kept: list[dict[str, Any]], *streams: Stream) -> None:
        self.base = "http://bridge"
        self.asked: list[str] = []
        self.opened: list[tuple[str, str | None]] = []
        self._kept, self._streams = kept, list(streams)

    def get(self, path: str) -> list[dict[str, Any]]:
        self.asked.append(path)
        return self._kept

    def follow(self, path: str, last: str | None = None) -> Iterator[PushedEvent]:
        self.opened.append((path, last))
        if not self._streams:
            raise KeyboardInterrupt
        for each in self._streams.pop(0):
            if isinstance(each, Exception):
                raise each
            yield each


def run(monkeypatch: pytest.MonkeyPatch, bridge: Bridge, *arguments: str) -> Result:
    monkeypatch.setattr(show, "rest_client", lambda *_: bridge)
    monkeypatch.setattr(show, "_AGAIN", 0.0)
    return CliRunner().invoke(show.events, ["--json", *arguments])


def numbers(done: Result) -> list[str]:
    return [json.loads(line)["id"] for line in done.stdout.splitlines()]


def test_without_follow_no_stream_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = Bridge([event(1)])
    done = run(monkeypatch, bridge)
    assert (done.exit_code, numbers(done), bridge.opened) == (0, ["a-1"], [])


def test_a_stream_that_ends_is_opened_behind_the_last_event(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = Bridge([event(1)], [pushed(2), pushed(3)], [], [pushed(4)])
    done = run(monkeypatch, bridge, "-f", "--port", "0x1:2")
    assert (done.exit_code, numbers(done), done.stderr) == (0, ["a-1", "a-2", "a-3", "a-4"], "")
    assert bridge.asked == ["/evb/events?port=0x1%3A2"]
    assert bridge.opened == [("/evb/events/stream?port=0x1%3A2", last) for last in ("a-1", "a-3", "a-3", "a-4")]


def test_a_bridge_without_events_is_followed_from_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = Bridge([], [pushed(1)])
    assert numbers(run(monkeypatch, bridge, "--follow")) == ["a-1"]
    assert [last for _, last in bridge.opened] == [None, "a-1"]


@pytest.mark.parametrize(
    ("missed", "said"),
    [(7, "events are missing: 7\n"), (None, "events are missing: the bridge was restarted\n")],
)
def test_what_is_missing_is_said_beside_the_events(
    monkeypatch: pytest.MonkeyPatch, missed: int | None, said: str
) -> None:
    bridge = Bridge([event(1)], [PushedEvent("missed", "", {"missed": missed}), pushed(9)])
    done = run(monkeypatch, bridge, "--follow")
    assert (numbers(done), done.stderr) == (["a-1", "a-9"], said)
    assert [last for _, last in bridge.opened] == ["a-1", "a-9"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (click.ClickException("http://bridge/evb/events/stream: Connection refused"), "refused"),
        (ConnectionResetError("reset"), "http://bridge: reset"),
        (ValueError("no JSON"), "http://bridge: no JSON"),
    ],
)
def test_a_bridge_that_goes_is_awaited(monkeypatch: pytest.MonkeyPatch, broken: Exception, said: str) -> None:
    bridge = Bridge([event(1)], [pushed(2), ConnectionResetError("cut")], [broken], [pushed(3)])
    done = run(monkeypatch, bridge, "--follow")
    assert (done.exit_code, numbers(done)) == (0, ["a-1", "a-2", "a-3"])
    assert done.stderr.splitlines()[0] == "http://bridge: cut"
    assert said in done.stderr.splitlines()[1]
    assert [last for _, last in bridge.opened] == ["a-1", "a-2", "a-2", "a-3"]


def test_a_stream_that_never_opens_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = Bridge([event(1)], [click.ClickException("http://bridge: 401 Unauthorized")], [pushed(2)])
    done = run(monkeypatch, bridge, "--follow")
    assert (done.exit_code, numbers(done)) == (1, ["a-1"])
    assert done.stderr == "Error: http://bridge: 401 Unauthorized\n"


def test_url_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The option wins where both are given."""
    (tmp_path / "token").write_text("reader.secret\n")
    found: list[tuple[str, Path | None, Path | None]] = []

    def client(*given: Any) -> Bridge:
        found.append(given)
        return Bridge([])

    monkeypatch.setattr(show, "rest_client", client)
    environment = {
        "EVBRIDGE_REST": "https://one",
        "EVBRIDGE_TOKEN_FILE": str(tmp_path / "token"),
        "EVBRIDGE_CA_FILE": str(tmp_path / "token"),
    }
    for arguments in ([], ["--rest", "https://two"]):
        assert CliRunner().invoke(show.vsis, ["--json", *arguments], env=environment).exit_code == 0
    assert found == [(url, tmp_path / "token", tmp_path / "token") for url in ("https://one", "https://two")]
