"""Two hypervisors with libvirtd, lldpad and QEMU guests, unmodified (``ryu_apps.testbed.hypervisors``)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from ryu_apps.testbed.flow_dumps import dump_rules
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.hypervisors.domain import Guest
from ryu_apps.testbed.hypervisors.guest_image import build_image
from ryu_apps.testbed.hypervisors.site import HypervisorSite, fabric

ROOT = Path(__file__).resolve().parents[2]
#: Of the guests: the web server behind the firewall that knows its connections.
TYPE = 10, 1
_numbers = count(1)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HypervisorSite]:
    folder = tmp_path_factory.mktemp("hypervisors")
    image = build_image(Path(os.environ["EVBRIDGE_GUEST_KERNEL"]), folder)
    with inside(), HypervisorSite(folder, [ROOT / "policies"], image, fabric()) as site:
        yield site


@pytest.fixture
def boot(site: HypervisorSite) -> Iterator[Callable[[str], Guest]]:
    """Start guests at a host; afterwards no host has one, and the switches hold what they held before."""
    before = _tables()
    guests: list[Guest] = []

    def start(host: str) -> Guest:
        number = next(_numbers)
        uuid, mac = f"11111111-2222-4333-8444-{number:012d}", f"52:54:00:aa:00:{number:02x}"
        guests.append(Guest(f"vm{number}", uuid, mac, f"10.0.100.{10 + number}", *TYPE))
        site.boot(guests[-1], host)
        return guests[-1]

    with ExitStack() as stack:
        stack.callback(lambda: wait_until(lambda: _tables() == before, "flow tables as before the test", 60.0))
        stack.callback(lambda: [site.destroy(guest) for guest in guests])
        yield start


def _tables() -> dict[str, list[str]]:
    return {name: dump_rules(name) for name in ("s1", "s2")}
