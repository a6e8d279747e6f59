"""A VM's port as an access port: what the VM sends gets the tag of its VLAN, what it receives has lost it.

Two programs of eBPF, one at each direction of the port, since kernels without 8021q and act_vlan have ``cls_bpf``.
The switch is at the other end of the uplink: the port tags, and the uplink carries the tag.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import socket
import struct
import subprocess
from contextlib import closing

#: linux/sockios.h; asm/unistd.h: number of the system call ``bpf``.
_SIOCGIFINDEX = 0x8933
_BPF = {"x86_64": 321, "aarch64": 280}
# linux/bpf.h: BPF_PROG_LOAD, BPF_PROG_TYPE_SCHED_CLS; helpers; offsets of struct __sk_buff.
_PROG_LOAD, _SCHED_CLS = 5, 3
_VLAN_PUSH, _VLAN_POP, _REDIRECT = 18, 19, 23
_VLAN_PRESENT, _VLAN_TCI = 20, 24
# linux/bpf_common.h, linux/bpf.h: opcodes.
_MOV, _MOV_NUMBER, _AND_NUMBER, _LOAD, _CALL, _EXIT = 0xBF, 0xB7, 0x57, 0x61, 0x85, 0x95
_JUMP_UNLESS_EQUAL, _JUMP_IF_EQUAL = 0x55, 0x15
# linux/pkt_cls.h
_TC_OK, _TC_SHOT = 0, 2
# linux/rtnetlink.h, linux/pkt_sched.h, linux/pkt_cls.h
_NEW_FILTER, _FLAGS = 44, 0x1 | 0x4 | 0x400 | 0x200
_INGRESS, _EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
_KIND, _OPTIONS, _BPF_FD, _BPF_NAME, _BPF_FLAGS, _DIRECT_ACTION = 1, 2, 6, 7, 8, 1
_VID = 0x0FFF
#: Of the filters at a port of :func:`set_access_port`.
PREFERENCE = 100
_libc = ctypes.CDLL(None, use_errno=True)


def tag_port(rtnetlink: socket.socket, port: str, uplink: str, tci: int, preference: int) -> None:
    """Make a port the access port of a VLAN; its queueing discipline ``clsact`` is there already.

    Args:
        rtnetlink: socket of the network namespace.
        uplink: where frames of the VM leave, tagged.
        tci: VID and PCP of the tag.
        preference: of both filters.

    Raises:
        OSError: there is no such interface, or the kernel refuses a program of eBPF or a filter.
    """
    index = _index(rtnetlink, port)
    _attach(rtnetlink, index, _INGRESS, preference, _pushing(tci, _index(rtnetlink, uplink)))
    _attach(rtnetlink, index, _EGRESS, preference, _popping(tci & _VID))


def set_access_port(port: str, uplink: str, tci: int | None) -> None:
    """Make an interface of this namespace the access port of a VLAN, in the place of what it was.

    Args:
        tci: VID and PCP of the tag; None: of none, frames pass as they are.

    Raises:
        OSError: see :func:`tag_port`.
    """
    _tc("qdisc", "replace", "dev", port, "clsact")
    for way in ("ingress", "egress"):
        # Without such a filter it fails, as it should.
        _tc("filter", "del", "dev", port, way, "protocol", "all", "pref", str(PREFERENCE), must=False)
    if tci is not None:
        with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as rtnetlink:
            tag_port(rtnetlink, port, uplink, tci, PREFERENCE)


def _tc(*words: str, must: bool = True) -> None:
    done = subprocess.run(["tc", *words], capture_output=True, text=True, check=False)
    if must and done.returncode:
        raise OSError(f"tc {' '.join(words)}: {done.stderr.strip()}")


def _index(rtnetlink: socket.socket, interface: str) -> int:
    answer = fcntl.ioctl(rtnetlink, _SIOCGIFINDEX, struct.pack("16si20x", interface.encode(), 0))
    return int(struct.unpack_from("i", answer, 16)[0])


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, number: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, number)


def _pushing(tci: int, uplink: int) -> bytes:
    """Tag a frame, and send it out of the uplink."""
    return b"".join(
        (
            _instruction(_MOV_NUMBER, 2, number=socket.htons(0x8100)),
            _instruction(_MOV_NUMBER, 3, number=tci),
            _instruction(_CALL, number=_VLAN_PUSH),
            _instruction(_MOV_NUMBER, 1, number=uplink),
            _instruction(_MOV_NUMBER, 2),
            _instruction(_CALL, number=_REDIRECT),
            _instruction(_EXIT),
        )
    )


def _popping(vid: int) -> bytes:
    """Remove the tag of a frame of the VLAN, and drop every other frame."""
    return b"".join(
        (
            _instruction(_LOAD, 0, 1, _VLAN_PRESENT),
            _instruction(_JUMP_IF_EQUAL, 0, offset=6, number=0),
            _instruction(_LOAD, 0, 1, _VLAN_TCI),
            _instruction(_AND_NUMBER, 0, number=_VID),
            _instruction(_JUMP_UNLESS_EQUAL, 0, offset=3, number=vid),
            _instruction(_CALL, number=_VLAN_POP),
            _instruction(_MOV_NUMBER, 0, number=_TC_OK),
            _instruction(_EXIT),
            _instruction(_MOV_NUMBER, 0, number=_TC_SHOT),
            _instruction(_EXIT),
        )
    )


def _load(program: bytes) -> int:
    """Return the file descriptor of a program in the kernel."""
    code, licence = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(b"GPL")
    lengths = _SCHED_CLS, len(program) // 8
    attributes = struct.pack("<IIQQ", *lengths, ctypes.addressof(code), ctypes.addressof(licence)).ljust(128, b"\0")
    if platform.machine() not in _BPF:
        raise OSError(f"no tags at ports of a {platform.machine()}")
    found: int = _libc.syscall(_BPF[platform.machine()], _PROG_LOAD, attributes, len(attributes))
    if found < 0:
        raise OSError(ctypes.get_errno(), f"bpf: {os.strerror(ctypes.get_errno())}")
    return found


def _attach(rtnetlink: socket.socket, index: int, parent: int, preference: int, program: bytes) -> None:
    descriptor = _load(program)
    try:
        options = _attribute(_BPF_FD, struct.pack("=I", descriptor)) + _attribute(_BPF_NAME, b"vlan\0")
        options += _attribute(_BPF_FLAGS, struct.pack("=I", _DIRECT_ACTION))
        info = preference << 16 | socket.htons(0x0003)
        body = struct.pack("=BxxxiIII", socket.AF_UNSPEC, index, 0, parent, info)
        body += _attribute(_KIND, b"bpf\0") + _attribute(_OPTIONS, options)
        rtnetlink.send(struct.pack("=IHHII", 16 + len(body), _NEW_FILTER, _FLAGS, 1, 0) + body)
        (error,) = struct.unpack_from("=i", rtnetlink.recv(4096), 16)
    finally:
        os.close(descriptor)
    if error:
        raise OSError(-error, f"filter of interface {index}: {os.strerror(-error)}")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
