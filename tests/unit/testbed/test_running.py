"""Ends of a testbed: all of them are carried out, and the first error is the one that is seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ryu_apps.testbed.harness.running import Running, end_all, ending


class Parts(Running):
    """Three parts: what fails is named, and what was stopped is noted."""

    def __init__(self, *failing: str) -> None:
        self._failing = failing
        self.stopped: list[str] = []

    def start(self) -> None:
        self._fail("start")

    def stop(self) -> None:
        end_all(*map(self._end, ("one", "two", "three")))

    def _end(self, name: str) -> Callable[[], None]:
        def end() -> None:
            self.stopped.append(name)
            self._fail(name)

        return end

    def _fail(self, name: str) -> None:
        if name in self._failing:
            raise ValueError(name)


def notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def test_a_start_that_fails_is_what_is_raised_and_all_parts_are_stopped() -> None:
    parts = Parts("start", "two")
    with pytest.raises(ValueError, match="start") as failed, parts:
        pytest.fail("was not started")
    assert parts.stopped == ["one", "two", "three"]
    assert notes(failed.value) == ["at the end, too: ValueError: two"]


def test_an_error_in_between_is_what_is_raised() -> None:
    parts = Parts("one")
    with pytest.raises(KeyError, match="between") as failed, parts:
        raise KeyError("between")
    assert parts.stopped == ["one", "two", "three"]
    assert notes(failed.value) == ["at the end, too: ValueError: one"]


def test_of_several_ends_that_fail_the_first_is_raised_and_the_others_are_notes() -> None:
    parts = Parts("one", "three")
    with pytest.raises(ValueError, match="one") as failed, parts:
        pass
    assert notes(failed.value) == ["at the end, too: ValueError: three"]


def test_ends_of_a_block_hide_no_error_of_it() -> None:
    parts = Parts("two")
    with pytest.raises(KeyError, match="block") as failed, ending(parts.stop):
        raise KeyError("block")
    assert notes(failed.value) == ["at the end, too: ValueError: two"]
    with pytest.raises(ValueError, match="two"), ending(parts.stop):
        pass
    parts.stopped.clear()
    with ending(Parts().stop):
        pass
