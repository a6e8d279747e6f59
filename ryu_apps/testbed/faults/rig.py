"""A cluster to break: its channels go through the proxy, its state is durable, and VMs that are not moved have traffic.

Every test begins and ends with the same flow tables; what the bystanders lost is counted in between.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from uuid import NAMESPACE_URL, uuid5

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.association import VdpMode
from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.faults.bystanders import Loss, traffic, write_figures
from ryu_apps.testbed.faults.proxy import ChannelProxy
from ryu_apps.testbed.flow_dumps import dump_rules, gates, owner_at, read_dump
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.controller import APPS, Controller
from ryu_apps.testbed.harness.exchanges import VdpMessage, vdp_messages
from ryu_apps.testbed.harness.ovs import dump_flows, dump_groups
from ryu_apps.testbed.harness.probes import Flow
from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.shell import PATIENCE, CommandError, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.topologies import two_switch

CHECKOUT = Path(__file__).resolve().parents[3]
S1, S2 = 1, 2
#: Of the bystanders' stations: 10 s for a controller to come back, and a keep-alive every 84 s.  A station drops a VSI
#: whose keep-alive meets no controller, which no test of something else should depend on.
PATIENT = Timers(rwd=20, rka=23)
#: Stations that may be asked again after 2 s, and refresh what they hold every 10 s.
BRISK = Timers(rwd=17, rka=20)

_WIRE_MODE = {
    VdptoolMode.PREASSOCIATE: VdpMode.PREASSOCIATE,
    VdptoolMode.PREASSOCIATE_RR: VdpMode.PREASSOCIATE_RR,
    VdptoolMode.ASSOCIATE: VdpMode.ASSOCIATE,
    VdptoolMode.DEASSOCIATE: VdpMode.DEASSOCIATE,
}


@dataclass(frozen=True, slots=True)
class RigVm:
    """A VM as its VSI; ``number`` makes its addresses, ``more`` are MAC addresses of further interfaces."""

    name: str
    number: int
    type_id: int = 1
    more: tuple[str, ...] = ()

    @property
    def vsi(self) -> VdptoolVsi:
        """As stations name it."""
        uuid = str(uuid5(NAMESPACE_URL, f"faults/{self.name}"))
        filters = tuple(f"{two_switch.NATIVE_VLAN}-{mac}" for mac in (self.mac, *self.more))
        return VdptoolVsi(uuid, self.type_id, 1, filters, self.ip)

    @property
    def mac(self) -> str:
        """Text form."""
        return f"52:54:00:bb:00:{self.number:02x}"

    @property
    def ip(self) -> str:
        """IPv4 address."""
        return f"10.0.100.{100 + self.number}"


#: The bystanders: a pair across the trunk, a pair behind one uplink, and one VM at each switch that talks to an end
#: system there.
HOMES = {
    RigVm("b1", 1): "hv3",
    RigVm("b2", 2): "hv7",
    RigVm("b3", 3): "hv4",
    RigVm("b4", 4): "hv8",
    RigVm("b5", 5): "hv3",
}
INTERVAL = 0.004
FLOWS = (
    Flow("across", "udp", "b2", "b1", 443, INTERVAL, True),
    Flow("reflected", "udp", "b5", "b1", 123, INTERVAL, True),
    Flow("s1", "udp", "nms", "b3", 443, INTERVAL, True),
    Flow("s2", "udp", "client", "b4", 443, INTERVAL, True),
)
EVERYONE = tuple(flow.name for flow in FLOWS)
AT_S1, AT_S2 = ("reflected", "s1"), ("s2",)
#: Seconds for which a datagram may be under way where the machine is busy.
_UNDER_WAY = 3.0


class Rig:
    """The cluster, its proxy and its bystanders; a context manager.

    Attributes:
        figures: what the tests noted, see :meth:`note`.
        switches: their names.
    """

    def __init__(
        self,
        folder: Path,
        timers: dict[str, Timers] | None = None,
        more: tuple[str, ...] = (),
        fabric: Fabric | None = None,
    ) -> None:
        """
        Args:
            folder: an existing, empty folder; state is in ``state`` below it.
            timers: what bridge ports propose, by hypervisor; bystanders' are PATIENT, others BRISK.
            more: Ryu apps beside the bridge's.
            fabric: with hypervisors and end systems of the names in ``two_switch``, which is the default.
        """
        given = dict.fromkeys(HOMES.values(), PATIENT) | (timers or {})
        fabric = _timed(fabric or two_switch.fabric(8), given)
        self.switches = tuple(switch.name for switch in fabric.switches.values())
        config = dump_config(self._configured(fabric))
        self.state_dir = folder / "state"
        self.figures: list[dict[str, Any]] = []
        self._excuses: list[tuple[tuple[str, ...], float, float]] = []
        # Switches are configured with the proxy's port; of two ports on ryu-manager's command line the later counts.
        self._apps = ("--ofp-tcp-listen-port=6654", *APPS, *more)
        self.cluster = Cluster(fabric, two_switch.END_SYSTEMS, folder, config, self._apps)
        self._proxy = ChannelProxy(6653, 6654)

    def _configured(self, fabric: Fabric) -> BridgeConfig:
        """The configuration of the bridge."""
        return BridgeConfig(fabric, (str(CHECKOUT / "policies"),), "state")

    @property
    def controller(self) -> Controller:
        """The controller's process."""
        return self.cluster.controller

    @property
    def proxy(self) -> ChannelProxy:
        """Between the switches and that controller."""
        return self._proxy

    @property
    def serves(self) -> bool:
        """True if all switches are ready for use."""
        return all(switch["readiness"] == "ready" for switch in self.controller.get("/evb/status")["switches"])

    def __enter__(self) -> Self:
        try:
            self.cluster.start()
            wait_until(self._relays, "reflective relay at every station")
            for guest, home in HOMES.items():
                self.cluster.boot(NamespaceVm(guest.name, guest.mac, guest.ip), home)
                self.admit(guest, home)
        except BaseException as error:
            self.__exit__(None, error, None)
            raise
        return self

    def _relays(self) -> bool:
        stations = self.controller.stations()
        return bool(stations) and all(station["reflective_relay"] for station in stations)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_all(self.cluster.stop, self._proxy.close, after=error)

    # --- stations ---
    def ask(self, hypervisor: str, mode: VdptoolMode, guest: RigVm) -> str:
        """Have a station ask; returns when it has taken the order, not when the bridge has answered.

        Returns:
            What vdptool says; a station that waits for an older answer takes no order.
        """
        station = self.cluster.hypervisors[hypervisor].station
        command = station.namespace.argv(("vdptool", "-i", station.interface, "-T", *guest.vsi.arguments(mode)))
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout

    def answers(self, hypervisor: str, guest: RigVm, since: float) -> list[VdpMessage]:
        """VDP of the bridge to a station about a VSI."""
        return [message for message in self.messages(hypervisor, guest, since) if not message.from_station]

    def messages(self, hypervisor: str, guest: RigVm, since: float) -> list[VdpMessage]:
        """VDP about a VSI at an uplink, both ways."""
        self.cluster.watcher.settle()
        seen = [
            sighting for sighting in list(self.cluster.hypervisors[hypervisor].tap.sightings) if sighting.t >= since
        ]
        return [message for message in vdp_messages(seen) if message.vsi == guest.vsi.uuid]

    def answered(self, hypervisor: str, mode: VdptoolMode, guest: RigVm, limit: float = PATIENCE) -> VdpMessage:
        """Ask until the bridge answers: a station that still waits for an older answer takes no order.

        Raises:
            TimeoutError: no answer in ``limit`` seconds.
        """
        since = time.monotonic()
        asked = [0.0]

        def answer() -> VdpMessage | None:
            found = [
                message
                for message in self.answers(hypervisor, guest, since)
                if message.answer and message.mode is _WIRE_MODE[mode]
            ]
            if not found and time.monotonic() > asked[0] + 0.25:
                self.ask(hypervisor, mode, guest)
                asked[0] = time.monotonic()
            return found[-1] if found else None

        return wait_until(answer, f"{hypervisor}: an answer to {mode.value} of {guest.name}", limit, pause=0.005)

    def granted(self, hypervisor: str, mode: VdptoolMode, guest: RigVm, limit: float = PATIENCE) -> VdpMessage:
        """As :meth:`answered`; the answer has to be a success.

        Raises:
            AssertionError: it is not.
        """
        message = self.answered(hypervisor, mode, guest, limit)
        assert message.answer is not None and message.answer.success, f"{guest.name} at {hypervisor}: {message}"
        return message

    def admit(self, guest: RigVm, hypervisor: str) -> None:
        """Reserve and associate."""
        self.granted(hypervisor, VdptoolMode.PREASSOCIATE_RR, guest)
        self.granted(hypervisor, VdptoolMode.ASSOCIATE, guest)

    def let_go(self, hypervisor: str, guest: RigVm, limit: float = PATIENCE) -> None:
        """De-associate until the station holds the VSI no more; one that gets no answer forgets it too."""
        begun = time.monotonic()
        asked, said = 0.0, ""

        def gone() -> bool:
            nonlocal asked, said
            if not self.holds(hypervisor, guest):
                return True
            if time.monotonic() > asked + 0.25:
                said = self.ask(hypervisor, VdptoolMode.DEASSOCIATE, guest)
                asked = time.monotonic()
            return False

        try:
            wait_until(gone, f"{hypervisor} to let {guest.name} go", limit, pause=0.005)
        except DeadlineError as error:
            station = self.cluster.hypervisors[hypervisor].station
            modes = [mode.value for mode in VdptoolMode if station.holds(mode, guest.vsi)]
            seen = self.messages(hypervisor, guest, begun)
            if not seen and "in progress" in said:
                # lldpad loses the timer of a request when its link goes down: it says nothing more of the VSI.
                station.kill()
                station.start()
                station.wait_ready()
                return
            raise DeadlineError(
                f"{error}: it has it in {modes} and says {said!r}; of {len(seen)} messages the last are {seen[-4:]}"
            ) from None

    def dismiss(self, guest: RigVm, *hypervisors: str) -> None:
        """De-associate wherever a station holds the VSI, then check that the bridge has forgotten it."""
        for hypervisor in hypervisors:
            self.let_go(hypervisor, guest)
        wait_until(lambda: self.known(guest) is None, f"{guest.name} forgotten", 25)

    def holds(self, hypervisor: str, guest: RigVm) -> bool:
        """Return True if the station holds the VSI."""
        station = self.cluster.hypervisors[hypervisor].station
        return any(
            station.holds(mode, guest.vsi)
            for mode in (VdptoolMode.ASSOCIATE, VdptoolMode.PREASSOCIATE_RR, VdptoolMode.PREASSOCIATE)
        )

    # --- the bridge ---
    def known(self, guest: RigVm) -> dict[str, Any] | None:
        """A VSI as REST shows it."""
        return next((vsi for vsi in self.controller.get("/evb/vsis") if vsi["vsi"] == guest.vsi.uuid), None)

    def attached(self, guest: RigVm) -> list[str]:
        """Hypervisors at whose ports the bridge has a VSI, also one whose rules are still being removed."""
        known = self.known(guest)
        return sorted(attachment["name"] for attachment in known["attachments"]) if known else []

    def events(self, since: float, kind: str, guest: RigVm | None = None) -> list[dict[str, Any]]:
        """The journal's events of a kind after a moment."""
        found = self.controller.get(f"/evb/events?since={since}")
        return [event for event in found if event["kind"] == kind and (guest is None or event["vsi"] == guest.vsi.uuid)]

    def heard_of(self, since: float, kind: str) -> bool:
        """Return True if a bridge that serves has had an event of a kind after a moment."""
        return bool(self.events(since, kind))

    def late_acts(self, since: float) -> list[str]:
        """Return, as text, acts of a bridge after another one had begun to lead: none, as there is one."""
        return []

    def alarms(self) -> list[str]:
        """The kinds of the alarms that are not over."""
        return [alarm["kind"] for alarm in self.controller.get("/evb/status")["alarms"]]

    def restart(self) -> float:
        """Start the controller again after a kill; returns the seconds until both switches were ready."""
        begun = time.monotonic()
        self.controller.start(self._apps)
        self.controller.wait_connected(len(self.switches))
        return time.monotonic() - begun

    def recall(self, guest: RigVm) -> None:
        """Take a VM off the network as an operator does; one that is not there, or just gone, is no mistake."""
        try:
            self.controller.delete(f"/evb/vsis/{guest.vsi.uuid}")
        except HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise

    def lose_state(self, keep: bool) -> None:
        """Remove the state that the bridge has written while its controller is dead; ``keep``: leave an empty file."""
        state = self.state_dir / "state.sqlite"
        for file in state.parent.glob(f"{state.name}*"):
            file.unlink()
        if keep:
            state.touch()

    def tidy(self, *guests: RigVm, limit: float = 25.0) -> None:
        """After a test, also one that failed: no traps, and these VMs nowhere.

        Args:
            limit: seconds for which a station may wait for an answer that was lost.
        """
        self.proxy.clear()
        self.proxy.admit()
        for guest in guests:
            for hypervisor in self.cluster.hypervisors:
                self.let_go(hypervisor, guest, limit)
            self.recall(guest)

    # --- what the switches hold ---
    def tables(self) -> dict[str, list[str]]:
        """Rules and groups of every switch, but for rules that the switch ends by itself."""
        return {name: dump_rules(name) + dump_groups(name) for name in self.switches}

    def places(self, guest: RigVm) -> list[str]:
        """Hypervisors at whose ports the VM's frames are let in; more than one must never be."""
        return self.places_of((guest,))[guest]

    def places_of(self, guests: Iterable[RigVm]) -> dict[RigVm, list[str]]:
        """As :meth:`places`, of several VMs; each switch is asked once."""
        switches = {hypervisor.port.dpid for hypervisor in self.cluster.hypervisors.values()}
        rules = {dpid: gates(read_dump(dump_flows(f"s{dpid}"))) for dpid in switches}
        return {
            guest: [
                hypervisor.name
                for hypervisor in self.cluster.hypervisors.values()
                if owner_at(rules[hypervisor.port.dpid], hypervisor.port.port_no, guest.mac) is not None
            ]
            for guest in guests
        }

    @contextmanager
    def restored(self, limit: float = PATIENCE) -> Iterator[dict[str, list[str]]]:
        """Check that the block leaves no rule and takes none."""
        before = self.tables()
        yield before
        self.await_tables(before, limit)

    def await_tables(self, before: dict[str, list[str]], limit: float) -> None:
        """The switches come to hold what they held."""
        try:
            wait_until(lambda: self.read_tables() == before, "tables as before", limit, pause=0.1)
        except TimeoutError:
            self.assert_tables(before)

    def assert_tables(self, before: dict[str, list[str]]) -> None:
        """The switches hold what they held."""
        after = self.tables()
        odd = {name: sorted(set(before[name]) ^ set(after[name]))[:6] for name in before}
        assert after == before, f"rules left over, lost or doubled: {odd}"

    def read_tables(self) -> dict[str, list[str]] | None:
        """As :meth:`tables`; None while the switches cannot be asked."""
        try:
            return self.tables()
        except CommandError:
            return None

    # --- bystanders ---
    @contextmanager
    def bystanders(self, flows: Iterable[str] = EVERYONE) -> Iterator[Loss]:
        """Traffic of the VMs that are not moved; the loss is known at the end, but for what is :meth:`excused`."""
        self._excuses.clear()
        with traffic(self.cluster, [flow for flow in FLOWS if flow.name in flows], self._spans) as loss:
            yield loss

    @contextmanager
    def excused(self, flows: tuple[str, ...]) -> Iterator[None]:
        """Excuse losses of what these flows send meanwhile or have in flight."""
        begun = time.monotonic() - _UNDER_WAY
        yield
        self._excuses.append((flows, begun, time.monotonic() + _UNDER_WAY))

    def _spans(self, flow: str, begun: float, finish: float) -> Iterator[tuple[float, float]]:
        """The times in which a flow has no excuse."""
        for flows, first, last in self._excuses:
            if flow in flows:
                yield begun, first
                begun = max(begun, last)
        yield begun, finish

    @contextmanager
    def unharmed(self, fault: str, flows: Iterable[str] = EVERYONE) -> Iterator[dict[str, float]]:
        """A fault that bystanders must not notice; times written into the value become its figures."""
        times: dict[str, float] = {}
        with self.bystanders(flows) as loss:
            yield times
        sent, lost = sum(loss.sent.values()), sum(loss.lost.values())
        self.note(fault, sent, lost, times)
        assert lost == 0 and sent > 0, f"bystanders lost {loss.lost} of {loss.sent}"

    def note(self, fault: str, sent: int, lost: int, times: dict[str, float]) -> None:
        """Keep a line of the table in docs/reliability.rst, and write all of them down."""
        self.figures.append({"fault": fault, "sent": sent, "lost": lost, "seconds": times})

    def write(self, name: str) -> None:
        """Write the figures to ``reports/reliability``."""
        write_figures(name, self.figures)


def _timed(fabric: Fabric, timers: dict[str, Timers]) -> Fabric:
    def interfaces(switch: int) -> dict[int, Any]:
        return {
            number: replace(interface, timers=timers.get(interface.name, BRISK))
            if interface.role is Role.STATION
            else interface
            for number, interface in fabric.switches[switch].interfaces.items()
        }

    switches = {dpid: replace(found, interfaces=interfaces(dpid)) for dpid, found in fabric.switches.items()}
    return replace(fabric, switches=switches)


def port_of(rig: Rig, hypervisor: str) -> PortId:
    """The bridge port of a hypervisor."""
    return rig.cluster.hypervisors[hypervisor].port
