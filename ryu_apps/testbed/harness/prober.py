"""One end of a scenario's flows: sends, receives and notes when.  Runs as a process of its own.

Started in the namespace of a VM or of an end system, stopped and continued with its VM (SIGSTOP, SIGCONT), so
it must not burst after a pause.  Standard library only, one thread, one ``select`` loop: two cores carry the
switches, the controller and all the probes.  Ends that are never stopped share a process, which has the sockets of each
in its namespace: Open vSwitch then wakes up once for what all of them send.

Reads its ends as JSON from the command line: ``orders``, the files ``log`` and ``notes``, and ``namespace``, a process
that is in the namespace, 0 for that of this process.  Writes ``+ID`` to the log as each flow first hears from the other
end, and on SIGTERM writes its notes as JSON.  After SIGUSR1 it writes ``=ID`` as each UDP flow hears what was
sent later than the signal: everything older has arrived or is lost, since datagrams of a flow stay in order.
After SIGUSR2 it writes ``+ID`` as each flow hears once more, or at once if its stream is broken.
"""

from __future__ import annotations

import errno
import json
import select
import signal
import socket
import struct
import sys
import time
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

#: Order of one flow, and an end with its orders; see ``probes.Prober``.
Order = dict[str, Any]
End = dict[str, Any]
#: linux/sched.h
_NEW_NETWORK = 0x40000000
#: What a datagram begins with: who sent it, a sequence number, the monotonic time of sending.
PROBE = struct.Struct("!4sQd")
MAGIC = b"EVBp"
#: Frames injected behind a staged port carry this instead.
LEAK_MAGIC = b"EVBx"
_BEAT = struct.Struct("!Q")
# asm-generic/socket.h: SO_RCVBUF beyond net.core.rmem_max
_SO_RCVBUFFORCE = 33
#: Octets of datagrams that wait to be read: on a busy machine this process is late by seconds, and must lose none.
_RECEIVE_BUFFER = 8 << 20
#: A gap of this many seconds in our own life was a pause: go on from here, do not catch up.
_PAUSE = 0.02


def family(order: Order) -> socket.AddressFamily:
    """Address family of a flow, by the address of this end."""
    return socket.AF_INET6 if ":" in order["local"] else socket.AF_INET


def next_due(interval: float) -> float:
    """Return the next multiple of an interval, monotonic seconds.

    All probers of a machine send at the same moments: Open vSwitch wakes up for all of their datagrams together.
    """
    return (time.monotonic() // interval + 1) * interval


class UdpFlow:
    """Datagrams at a fixed interval, one socket for both directions."""

    def __init__(self, order: Order, log: IO[str]) -> None:
        self.id, self.interval, self.log = order["id"], order["interval"], log
        self.peer = (order["peer"], order["peer_port"])
        self.due, self.sequence, self.unsent, self.leaked = next_due(self.interval), 0, 0, 0
        self.sent: list[float] = []
        self.heard: list[tuple[int, float, float]] = []
        self.announced, self.failure = False, ""
        self.mark: float | None = None
        self.socket = socket.socket(family(order), socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        self.silent = False
        if order["group"]:
            self._use_group(order)
        else:
            self.socket.bind((order["local"], order["port"]))

    def _use_group(self, order: Order) -> None:
        """The VM's end listens to the group, the other one sends to it."""
        self.peer, self.silent = (order["group"], order["port"]), order["listen"]
        local = socket.inet_aton(order["local"])
        if self.silent:
            self.socket.bind(self.peer)
            membership = socket.inet_aton(order["group"]) + local
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        else:
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, local)
            self.socket.bind((order["local"], order["port"]))

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, now: float) -> None:
        self.due = next_due(self.interval) if now - self.due > _PAUSE else self.due + self.interval
        if self.silent:
            return
        try:
            self.socket.sendto(PROBE.pack(MAGIC, self.sequence, now), self.peer)
            self.sent.append(now)
            self.sequence += 1
        except OSError:  # link down, no neighbour yet: the datagram was never under way
            self.unsent += 1

    def receive(self) -> None:
        while True:
            try:
                data = self.socket.recv(64)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of an earlier datagram
                continue
            magic, sequence, sent = PROBE.unpack(data[: PROBE.size])
            if magic == LEAK_MAGIC:
                self.leaked += 1
                continue
            announce_heard(self)
            if self.mark is not None and sent > self.mark:
                self.mark = None
                print(f"={self.id}", file=self.log)
            self.heard.append((sequence, sent, time.monotonic()))

    def notes(self) -> dict[str, Any]:
        return {"sent": self.sent, "heard": self.heard, "unsent": self.unsent, "leaked": self.leaked}


class TcpFlow:
    """Numbered beats over one connection, both ways; the connection must outlive the move."""

    def __init__(self, order: Order, log: IO[str]) -> None:
        self.id, self.interval, self.log = order["id"], order["interval"], log
        self.due, self.sequence, self.failure, self.failed = time.monotonic(), 0, "", 0.0
        self.heard: list[tuple[int, float]] = []
        self.torn, self._rest, self.announced = 0, b"", False
        self.mark: float | None = None  # a stream needs none: TCP repeats what is lost
        self.peer = (order["peer"], order["peer_port"])
        self.family = family(order)
        self.listener: socket.socket | None = None
        self.stream: socket.socket | None = None
        if order["listen"]:
            self.listener = socket.socket(self.family, socket.SOCK_STREAM)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((order["local"], order["port"]))
            self.listener.listen(1)

    def fileno(self) -> int:
        return (self.stream or self.listener or _NEVER).fileno()

    def send(self, now: float) -> None:
        self.due = now + self.interval if now - self.due > _PAUSE else self.due + self.interval
        if self.stream is None:
            if self.listener is None and not self.failure:
                self._connect()
            return
        try:
            if self.stream.send(_BEAT.pack(self.sequence)) != _BEAT.size:
                raise OSError("half a beat was sent")
            self.sequence += 1
        except BlockingIOError:
            pass  # the window is full: no acknowledgement comes at the moment
        except OSError as error:
            self._broken(error)

    def receive(self) -> None:
        if self.stream is None:
            if self.listener is not None:
                self._adopt(self.listener.accept()[0])
            return
        try:
            data = self.stream.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(error)
            return
        if not data:
            self._broken(OSError("closed by the other end"))
            return
        announce_heard(self)
        self._take(data, time.monotonic())

    def notes(self) -> dict[str, Any]:
        return {"beats": self.heard, "torn": self.torn, "failure": self.failure, "failed": self.failed}

    def _take(self, data: bytes, now: float) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % _BEAT.size
        self._rest = data[whole:]
        for (beat,) in _BEAT.iter_unpack(data[:whole]):
            if self.heard and beat != self.heard[-1][0] + 1:
                self.torn += 1
            self.heard.append((beat, now))

    def _connect(self) -> None:
        stream = socket.socket(self.family, socket.SOCK_STREAM)
        stream.settimeout(0.25)
        try:
            stream.connect(self.peer)
            self._adopt(stream)
        except OSError:
            stream.close()  # not yet; the next beat tries again
            self.due = time.monotonic() + 0.25

    def _adopt(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = stream

    def _broken(self, error: OSError) -> None:
        if not self.heard and self.stream is not None:
            # Not begun yet: behind a proxy, one is accepted before the other end is there.
            self.stream.close()
            self.stream, self.due = None, time.monotonic() + 0.25
            return
        name = errno.errorcode.get(error.errno or 0, "")
        self.failure, self.failed = f"{name} {error}".strip(), time.monotonic()
        if self.stream is not None:
            self.stream.close()
        self.stream, self.listener = None, None


_NEVER = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def announce_heard(flow: UdpFlow | TcpFlow) -> None:
    if not flow.announced:
        flow.announced = True
        print(f"+{flow.id}", file=flow.log)


class Stop(Exception):
    """SIGTERM."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stop


def _flows_of(end: End) -> list[UdpFlow | TcpFlow]:
    """The flows of an end, with sockets in its namespace."""
    if end["namespace"]:
        # In here: most ends have a process of their own, which does not need it.
        import ctypes

        with open(f"/proc/{end['namespace']}/ns/net", encoding="ascii") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), "setns")
    log = open(end["log"], "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - for as long as the process
    return [UdpFlow(order, log) if order["proto"] == "udp" else TcpFlow(order, log) for order in end["orders"]]


def main(ends: list[End]) -> None:
    """Run the flows until stopped, then write the notes."""
    flows_of = [_flows_of(end) for end in ends]
    flows = [flow for some in flows_of for flow in some]
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: _mark(flows))
    signal.signal(signal.SIGUSR2, lambda _number, _frame: _hear_again(flows))
    try:
        while True:
            _turn(flows)
    except Stop:
        pass
    for end, some in zip(ends, flows_of, strict=True):
        with open(end["notes"], "w", encoding="ascii") as file:
            # Encoded in one go, which is many times faster than json.dump.
            file.write(json.dumps({flow.id: flow.notes() for flow in some}))


def _mark(flows: list[UdpFlow | TcpFlow]) -> None:
    now = time.monotonic()
    for flow in flows:
        flow.mark = now


def _hear_again(flows: list[UdpFlow | TcpFlow]) -> None:
    for flow in flows:
        flow.announced = False


def _turn(flows: list[UdpFlow | TcpFlow]) -> None:
    wait = min(flow.due for flow in flows) - time.monotonic()
    readable, _, _ = select.select(flows, [], [], max(0.0, wait))
    for flow in readable:
        flow.receive()
    for flow in flows:
        if flow.failure:
            announce_heard(flow)
        now = time.monotonic()
        if flow.due <= now:
            flow.send(now)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
