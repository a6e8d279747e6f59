"""A TCP server that sends its client's address to each client, and then echoes.

Runs as a process of its own inside a VM, stopped and continued with it.  Standard library only.
"""

from __future__ import annotations

import selectors
import socket
import sys


def main(port: int) -> None:
    """Serve until ended."""
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=512, dualstack_ipv6=True)
    selector.register(listener, selectors.EVENT_READ)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    while True:
        for key, _ in selector.select():
            ready = key.fileobj
            assert isinstance(ready, socket.socket)
            if ready is listener:
                stream, (address, peer_port, *_) = listener.accept()
                stream.sendall(f"{address.removeprefix('::ffff:')} {peer_port}\n".encode())
                selector.register(stream, selectors.EVENT_READ)
            elif not echoed(ready):
                selector.unregister(ready)
                ready.close()


def echoed(stream: socket.socket) -> bool:
    """Say again what has come; False when nothing more will."""
    try:
        data = stream.recv(65536)
        stream.sendall(data)
    except OSError:
        return False
    return bool(data)


if __name__ == "__main__":
    main(int(sys.argv[1]))
