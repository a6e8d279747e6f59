"""An Open vSwitch for one server alone, with a database of its own, as real servers have it.

A cluster has one Open vSwitch for all its bridges.  Whoever reads its database, as a station with ``--ovsdb`` does,
would see the taps of every server, and during a migration two with one ``iface-id``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ryu_apps.testbed.harness.datapath import configured_datapath
from ryu_apps.testbed.harness.ovs import PrivateOvs
from ryu_apps.testbed.harness.running import Running
from ryu_apps.testbed.harness.shell import run

_TIMEOUT = "--timeout=30"


class OwnSwitch(Running):
    """A bridge that is taken from the cluster's Open vSwitch and made anew in one of its own; a context manager.

    The Open vSwitch of the user-space datapath needs the name of its device for itself, so the first one's is renamed.
    """

    def __init__(self, bridge: str, folder: Path) -> None:
        """
        Args:
            bridge: its name.
            folder: for database and logs; it does not exist.
        """
        folder.mkdir()
        self._bridge = bridge
        self._ovs = PrivateOvs(folder)

    @property
    def socket(self) -> Path:
        """UNIX socket of its ovsdb-server."""
        return self._ovs.socket

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """The time of a ``with`` block, in which the tools of Open vSwitch, and what is started, find this one."""
        before = os.environ.copy()
        os.environ.update(self._ovs.environment)
        try:
            yield
        finally:
            os.environ.update(before)

    def start(self) -> None:
        """Move the bridge."""
        commands = list(self._described())
        run(["ovs-vsctl", _TIMEOUT, "del-br", self._bridge])
        device = configured_datapath().device
        run(["ip", "link", "set", "dev", device, "name", f"{device}-1"])
        with self.chosen():
            self._ovs.start()
            run(["ovs-vsctl", _TIMEOUT, *commands])
            self._ovs.enlarge_buffers()

    def stop(self) -> None:
        """End both daemons."""
        with self.chosen():
            self._ovs.stop()

    def _described(self) -> Iterator[str]:
        """The commands that make the bridge as it is."""
        name, get = self._bridge, ("ovs-vsctl", _TIMEOUT, "get")
        columns = ("datapath_type", "fail_mode", "protocols", "other_config")
        values = [run([*get, "bridge", name, column]).strip() for column in columns]
        yield from ("add-br", name, "--", "set", "bridge", name)
        yield from (f"{column}={value}" for column, value in zip(columns, values, strict=True))
        for port in run(["ovs-vsctl", _TIMEOUT, "list-ports", name]).split():
            number = run([*get, "interface", port, "ofport"]).strip()
            yield from ("--", "add-port", name, port, "--", "set", "interface", port, f"ofport_request={number}")
        yield from ("--", "set-controller", name, *run(["ovs-vsctl", _TIMEOUT, "get-controller", name]).split())
