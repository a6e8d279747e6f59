"""Values of a VSI type are computed once, are bounded, and go with the type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ryu_apps.evb.policy.kept import _MOST, kept_by_type
from ryu_apps.evb.policy.model import VsiType
from tests.worlds.bridge import OPEN, POLICIES


def counted() -> tuple[list[tuple[str, int]], Callable[..., tuple[str, int]]]:
    computed: list[tuple[str, int]] = []

    @kept_by_type
    def value(vsi_type: VsiType, number: int) -> tuple[str, int]:
        computed.append((vsi_type.name, number))
        return computed[-1]

    return computed, value


def test_a_value_is_computed_once_for_each_type_and_argument() -> None:
    computed, value = counted()
    first = POLICIES.types[OPEN]
    second = replace(first, name="another")
    for _ in range(2):
        assert [value(first, 1), value(first, 2), value(second, 1)] == [
            (first.name, 1),
            (first.name, 2),
            ("another", 1),
        ]
    assert len(computed) == 3


def test_a_station_that_names_ever_new_arguments_fills_no_memory() -> None:
    computed, value = counted()
    vsi_type = POLICIES.types[OPEN]
    for number in range(_MOST + 1):
        value(vsi_type, number)
    value(vsi_type, 0)
    assert len(computed) == _MOST + 2


def test_a_new_type_at_the_place_of_one_that_is_gone_has_no_value_of_it() -> None:
    computed, value = counted()
    for number in range(50):
        vsi_type = replace(POLICIES.types[OPEN], name=f"type {number}")
        assert value(vsi_type, 1) == (vsi_type.name, 1)
        del vsi_type
    assert len(computed) == 50
