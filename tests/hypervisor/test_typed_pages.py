"""docs/hypervisors.rst is typed at two servers with a Debian of their own: its packages, its systemd, ssh between them.

What moves is a domain without a system, which waits in its BIOS: its guest's traffic is the subject of other tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ryu_apps.testbed.harness.ovs import PrivateOvs
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import Namespace, end, run, wait_until
from ryu_apps.testbed.hypervisors.debian_server import DebianServer
from tests.worlds.manual import blocks
from tests.worlds.packages import build_station

pytestmark = [pytest.mark.privileged, pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
PAGE, STATION = "docs/hypervisors.rst", "docs/station.rst"
CONTROLLER, ADDRESSES = "192.0.2.1", {"hv1": "192.0.2.11", "hv2": "192.0.2.12"}
#: The rest of a domain whose interface is on the page.
DOMAIN = """\
<domain type='{kind}'>
  <name>vm1</name>
  <memory unit='MiB'>16</memory>
  {metadata}
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <memballoon model='none'/>
    <controller type='usb' model='none'/>
    {interface}
  </devices>
</domain>
"""
#: Seconds for packages, services and negotiations of two servers on a busy machine.
LONG = 300.0


class Bridge:
    """The bridge's machine, where the page's commands for it are typed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._environment = os.environ | {"PATH": path}

    def write(self, name: str, text: str) -> None:
        """Write a file into its folder."""
        (self._folder / name).write_text(text, encoding="utf-8")

    def type(self, commands: str) -> str:
        """Return what commands print."""
        done = subprocess.run(
            ["bash", "-ec", commands],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=LONG,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, command: str) -> Iterator[None]:
        """The time of a ``with`` block, in which a command runs."""
        with (self._folder / "evbridge.log").open("ab") as log:
            process = subprocess.Popen(
                ["bash", "-ec", f"exec {command}"], cwd=self._folder, env=self._environment, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            end(process)

    def wait_active_at(self, server: DebianServer, vsis: str) -> None:
        """Wait until the command that lists VSIs shows one, active at a server's port alone."""

        def active() -> bool:
            places = [(at["name"], at["phase"]) for vsi in json.loads(self.type(vsis)) for at in vsi["attachments"]]
            return places == [(server.name, "active")]

        wait_until(active, f"the VSI at {server.name}", LONG, pause=0.5)

    def wait_agreed(self, stations: str) -> None:
        """Wait until the command that lists stations shows that both have agreed on EVB."""

        def agreed() -> bool:
            try:
                listed: list[dict[str, Any]] = json.loads(self.type(stations))
            except AssertionError:
                return False
            return [station["evb"] for station in listed] == ["agreed", "agreed"]

        wait_until(agreed, "both stations", LONG, pause=0.5)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    """The bridge's machine, which has a network to its servers and an Open vSwitch."""
    folder = tmp_path / "bridge"
    (folder / "ovs").mkdir(parents=True)
    (folder / "policies").symlink_to(ROOT / "policies")
    with inside(), ExitStack() as stack:
        Namespace("rack", os.getpid()).quiet()
        for words in ("link add mgmt type bridge", f"address add {CONTROLLER}/24 dev mgmt", "link set mgmt up"):
            run(["ip", *words.split()])
        ovs = PrivateOvs(folder / "ovs")
        stack.callback(ovs.stop)
        ovs.start()
        yield Bridge(folder)


@pytest.fixture
def servers(bridge: Bridge, tmp_path: Path) -> Iterator[list[DebianServer]]:
    """Two fresh servers at the network of management, root of each of which may log in at the other."""
    debian = Path(os.environ["EVBRIDGE_DEBIAN_HYPERVISOR"])
    with ExitStack() as stack:
        servers = [DebianServer(number, debian, tmp_path, ADDRESSES) for number in (1, 2)]
        for server in servers:
            stack.enter_context(server)
            run(["ip", *f"link add {server.name}-mgmt type veth peer name mgmt netns {server.pid}".split()])
            run(["ip", *f"link set {server.name}-mgmt master mgmt up".split()])
            server.namespace.ip(f"address add {server.address}/24 dev mgmt", "link set mgmt up")
        keys = [server.type("ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519; cat .ssh/*.pub") for server in servers]
        for server in servers:
            # Which apt starts when it installs them.
            server.type("systemctl start ssh openvswitch-switch libvirtd")
            server.write("root/.ssh/authorized_keys", "".join(keys))
        for server in servers:
            server.type(f"ssh-keyscan -t ed25519 {' '.join(ADDRESSES)} >.ssh/known_hosts")
        yield servers


@pytest.fixture(params=["qemu", "kvm"])
def domain(request: pytest.FixtureRequest) -> Callable[..., str]:
    """XML of a domain with the page's metadata and interface: under software emulation, and with KVM if it is here."""
    if request.param == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no /dev/kvm")
    return partial(DOMAIN.format, kind=request.param)


def move_there_and_back(bridge: Bridge, servers: list[DebianServer], migrate: str, vsis: str) -> None:
    """Type the command that moves the domain at each server, and see it and its VSI at the other one alone."""
    first, second = servers
    for here, there in ((first, second), (second, first)):
        here.type(migrate.replace("hv2", there.name))
        bridge.wait_active_at(there, vsis)
        running = [server.type("virsh list --name").split() for server in (here, there)]
        assert running == [[], ["vm1"]]


def assert_no_negative_identifier(server: DebianServer) -> None:
    """Every identifier of NETLINK_ROUTE that a server's libvirtd could draw, and would take for an error, is taken.

    It has the process in its lower 22 bits; which of them is drawn depends on the clock, so a move proves nothing.
    """
    libvirtd = int(server.type("systemctl show --property=MainPID --value libvirtd"))
    sockets = [line.split() for line in server.type("cat /proc/net/netlink").splitlines()[1:]]
    identifiers = {int(words[2]) for words in sockets if words[1] == "0"}
    assert identifiers >= {high << 22 | libvirtd for high in range(512, 1024)}


@contextmanager
def rack_switch(ports: dict[str, str]) -> Iterator[None]:
    """The switch ``s1`` of the rack for the time of a ``with`` block; ``ports``: number and type by name."""
    words = "add-br s1 -- set bridge s1 datapath_type=netdev protocols=OpenFlow13 fail_mode=secure"
    words += " other-config:datapath-id=0000000000000001 -- set-controller s1 tcp:127.0.0.1:6653"
    for name, described in ports.items():
        words += f" -- add-port s1 {name} -- set interface {name} {described}"
    run(["ovs-vsctl", "--timeout=30", *words.split()])
    try:
        yield
    finally:
        run(["ovs-vsctl", "--timeout=30", "del-br", "s1"])


@contextmanager
def uplinks_at_the_rack(servers: list[DebianServer]) -> Iterator[None]:
    """The switch of the rack for the time of a ``with`` block; the uplink ``eth0`` of server N is its port N."""
    with rack_switch({server.name: f"type=internal ofport_request={server.name[2:]}" for server in servers}):
        for server in servers:
            run(["ip", *f"link set {server.name} netns {server.pid} name eth0".split()])
        yield


def test_libvirt_and_lldpad(bridge: Bridge, servers: list[DebianServer], domain: Callable[..., str]) -> None:
    install, interface, configuration, stations, netlink, create, vsis, migrate = blocks(PAGE, "libvirt and lldpad")
    bridge.write("evbridge.yaml", configuration)
    bridge.type("evbridge check evbridge.yaml")
    with uplinks_at_the_rack(servers), bridge.running("evbridge run --config evbridge.yaml"):
        for server in servers:
            server.type(install)
        bridge.wait_agreed(stations)
        for server in servers:
            server.type(netlink)
            assert_no_negative_identifier(server)
        servers[0].write("root/vm1.xml", domain(metadata="", interface=interface))
        servers[0].type(create)
        bridge.wait_active_at(servers[0], vsis)
        move_there_and_back(bridge, servers, migrate, vsis)


def test_libvirt_at_the_servers_own_switch(
    bridge: Bridge, servers: list[DebianServer], domain: Callable[..., str], tmp_path: Path
) -> None:
    make_bridge, _lldpad, configuration, controller, _replay = blocks(PAGE, "VMs at the server's Open vSwitch")
    install, interface, create, migrate = blocks(PAGE, "libvirt with taps")
    start_station, _by_hand = blocks(STATION, "Start")
    metadata = blocks(STATION, "libvirt")[3]
    package = build_station(tmp_path)
    check, serve, stations = controller.splitlines()
    bridge.write("evbridge.yaml", with_a_second_server(configuration))
    bridge.type(check)
    with (
        rack_switch({f"{server.name}-up": f"ofport_request=2{server.name[2:]}" for server in servers}),
        bridge.running(serve),
    ):
        for server in servers:
            number = server.name[2:]
            run(["ip", *f"link add {server.name}-up type veth peer name eth0 netns {server.pid}".split()])
            run(["ip", *f"link set {server.name}-up up".split()])
            # As the page has it where the kernel has no module for Open vSwitch.
            here = make_bridge.replace("set bridge br0 ", "set bridge br0 datapath_type=netdev ")
            server.type(here.replace("0000000000000011", f"000000000000001{number}"))
            shutil.copy(package, server.place("root"))
            server.type(start_station.replace("=eth0", "=evb0"))
            server.type(install)
        bridge.wait_agreed(stations)
        servers[0].write("root/vm1.xml", domain(metadata=metadata, interface=interface))
        servers[0].type(create)
        vsis = stations.replace("stations", "vsis")
        bridge.wait_active_at(servers[0], vsis)
        move_there_and_back(bridge, servers, migrate, vsis)


def test_libvirt_with_the_station_at_the_uplink(
    bridge: Bridge, servers: list[DebianServer], domain: Callable[..., str], tmp_path: Path
) -> None:
    start_station, _by_hand = blocks(STATION, "Start")
    install, hook, listener, metadata, interface, create, migrate, suspended = blocks(STATION, "libvirt")
    _lldpad, _interface, configuration, stations, _netlink, _create, vsis, _migrate = blocks(PAGE, "libvirt and lldpad")
    package = build_station(tmp_path)
    bridge.write("evbridge.yaml", configuration.replace("station: libvirt\n", ""))
    with uplinks_at_the_rack(servers), bridge.running("evbridge run --config evbridge.yaml"):
        for server in servers:
            shutil.copy(package, server.place("root"))
            for commands in (start_station, install, hook, listener):
                server.type(commands)
        bridge.wait_agreed(stations)
        servers[0].write("root/vm1.xml", domain(metadata=metadata, interface=interface))
        servers[0].type(create)
        bridge.wait_active_at(servers[0], vsis)
        move_there_and_back(bridge, servers, migrate, vsis)
        servers[0].type(suspended)
        bridge.wait_active_at(servers[1], vsis)
        assert "running" in servers[1].type("virsh domstate vm1")


def with_a_second_server(configuration: str) -> str:
    """Return the page's configuration with a server at port 22 beside the one at port 21."""
    rack, mark, server = configuration.partition("  vs1:\n")
    link = rack.splitlines()[-1] + "\n"
    names = {"vs1": "vs2", "hv1": "hv2", "0x11": "0x12", "21": "22"}
    renamed = re.compile("|".join(names))
    more = [renamed.sub(lambda found: names[found[0]], text) for text in (link, mark, server)]
    return rack + more[0] + mark + server + more[1] + more[2]
