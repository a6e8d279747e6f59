"""A network of its own for each module of tests of controllers: a port that was free stays free until it is used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ryu_apps.testbed.harness.sandbox import inside


@pytest.fixture(scope="module", autouse=True)
def private_network() -> Iterator[None]:
    with inside():
        yield
