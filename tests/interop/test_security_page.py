"""The filters that the manual gives to hypervisors are typed, and a guest that speaks ECP and LLDP tries them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.interop.test_tutorial import Step, type_all

DOCS = Path(__file__).parents[2] / "docs"

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

#: A guest behind ``vnet0``, the uplink of its hypervisor, and what may stand in for a missing action of tc.
_UPLINK = """
mount -t sysfs sysfs /sys
ip link add uplink type veth peer name bridge
ip link add drain type veth peer name drained
for end in uplink bridge drain drained; do ip link set $end up; done
"""
_TAP = "ip link add vnet0 type veth peer name guest; ip link set vnet0 up; ip link set guest up\n"
_LINUX_BRIDGE = """
ip link add br0 type bridge
for port in vnet0 uplink; do ip link set $port master br0; done
ip link set br0 up
"""
_OPEN_VSWITCH = """
ovs-vsctl add-br br-int -- set bridge br-int datapath_type=netdev other-config:forward-bpdu=true \\
    -- add-port br-int vnet0 -- add-port br-int uplink
"""
_MACVTAP = """
ip link add link uplink name macvtap0 type macvtap mode vepa
ip link set macvtap0 up
mknod {folder}/tap c $(tr : ' ' < /sys/class/net/macvtap0/tap*/dev)
"""

#: What a guest says, to whatever group, and what of it leaves its hypervisor: Ethernet types.
_SPEAK = """
import fcntl, os, socket, struct, sys

heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
heard.bind(("bridge", 0))
if sys.argv[1] == "guest":
    guest = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    guest.bind(("guest", 0))
    send = guest.send
else:
    tap = os.open(sys.argv[1], os.O_RDWR)
    fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", b"macvtap0", 0x1002))  # TUNSETIFF, IFF_TAP | IFF_NO_PI
    send = lambda frame: os.write(tap, frame)


def say(kind, words):
    for group in ("0180c2000000", "525400aabbcc"):
        send(bytes.fromhex(group + "525400010203") + kind.to_bytes(2, "big") + words.ljust(50))


def hear(words):
    # Ethernet types, until one comes that no filter stops; it is said last.
    passed = set()
    while 0x88B5 not in passed:
        frame = heard.recv(2000)
        if frame[14:].startswith(words):
            passed.add(int.from_bytes(frame[12:14], "big"))
    return passed


heard.settimeout(0.05)
for _ in range(600):  # a bridge lets nothing through until it has seen that its ports are up
    say(0x88B5, b"UP?")
    try:
        hear(b"UP?")
        break
    except TimeoutError:
        pass
heard.settimeout(10)
for kind in (0x88CC, 0x8940, 0x88B7, 0x88B5):
    say(kind, b"GUEST")
passed = hear(b"GUEST")
print(*sorted(f"{one:#06x}" for one in passed))
"""


def filters(marker: str) -> str:
    """The block of commands on the page that has a marker."""
    text = (DOCS / "security.rst").read_text(encoding="utf-8")
    (found,) = [block for block in re.findall(r"::\n\n((?: {4}.*\n|\n)+)", text) if marker in block]
    return re.sub(r"^ {4}", "", found, flags=re.MULTILINE)


#: The same with what the kernel has: the page's line is tried first.
_INSTEAD = """
tc() {
    command tc "$@" 2> /dev/null && return
    set -- "${@/matchall/u32 match u32 0 0}"
    command tc ${@/drop/mirred egress redirect dev drain}
}
"""


@pytest.mark.parametrize(
    ("marker", "plug"),
    [
        ("nft ", _TAP + _LINUX_BRIDGE),
        ("dev vnet0 ingress", _TAP + _LINUX_BRIDGE),
        ("macvtap0 egress", _MACVTAP),
        ("ovs-ofctl", _TAP + _OPEN_VSWITCH),
    ],
)
def test_filter_lets_no_guest_speak_for_its_hypervisor(marker: str, plug: str, tmp_path: Path) -> None:
    speak = tmp_path / "speak.py"
    speak.write_text(_SPEAK)
    said = f"python {speak} {'guest' if 'guest' in plug else tmp_path / 'tap'}\n"
    plugged = _UPLINK + plug.format(folder=tmp_path)
    typed = plugged, said, _INSTEAD + filters(marker), said
    answers = type_all([Step(command, None) for command in typed], tmp_path / "typed")
    assert answers[1:] == ["0x88b5 0x88b7 0x88cc 0x8940\n", "", "0x88b5\n"], answers
