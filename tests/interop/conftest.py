"""A private Open vSwitch for whoever asks; see private_ovs.py."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import count

import pytest

from tests.interop.controller import Controller
from tests.interop.private_ovs import PrivateOvs, inside, wait_for

_bridges = count(1)
#: Ports of the fixture ``far_ends``.
FAR_ENDS = (1, 2, 3)


@pytest.fixture(scope="session")
def private_ovs() -> Iterator[PrivateOvs]:
    with PrivateOvs() as ovs:
        yield ovs


@pytest.fixture
def bridge(private_ovs: PrivateOvs) -> Iterator[str]:
    """Name of an empty bridge."""
    name = f"br{next(_bridges)}"
    private_ovs.add_bridge(name, int(name[2:]))
    yield name
    private_ovs.vsctl("del-br", name)


@pytest.fixture
def controller(private_ovs: PrivateOvs, bridge: str) -> Iterator[Controller]:
    """A controller that the bridge has connected to."""
    server, port = private_ovs.listen()
    with server:
        private_ovs.vsctl("set-controller", bridge, f"tcp:127.0.0.1:{port}")
        connected = Controller(server, int(bridge[2:]))
    assert connected.up().watched
    yield connected
    connected.close()


@pytest.fixture
def far_ends(private_ovs: PrivateOvs, bridge: str, controller: Controller) -> Iterator[dict[int, socket.socket]]:
    """Port number -> what is plugged in there."""
    sockets: dict[int, socket.socket] = {}
    for port in FAR_ENDS:
        private_ovs.add_veth(bridge, port, f"{bridge}-{port}", f"{bridge}-far{port}")
        with inside(private_ovs.namespace):
            sockets[port] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sockets[port].bind((f"{bridge}-far{port}", 0))
    wait_for(lambda: f"({bridge}-{FAR_ENDS[-1]})" in private_ovs.ofctl("show", bridge), "ports")
    yield sockets
    for opened in sockets.values():
        opened.close()
