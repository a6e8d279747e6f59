"""Jobs that query the features of a switch after it connects."""

from __future__ import annotations

from dataclasses import replace

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.switch import SwitchCapacity, SwitchUp
from ryu_apps.evb.flow.features import SwitchFeatures, TableFeatures
from ryu_apps.evb.flow.rule import GroupType
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.southbound import decode, features
from ryu_apps.southbound.jobs import SentRequest, Transport
from ryu_apps.southbound.messages import SwitchConfig, config_shown, get_config, set_config
from ryu_apps.southbound.piece import KnownObjects
from ryu_apps.southbound.questions import ALL_METERS, SeveralJob
from ryu_apps.southbound.watch import watch_request


class SurveyJob(SeveralJob):
    """Ports, room for rules, and leftovers of an earlier connection: meters, and ports with reflective relay.

    Args:
        ports: filled with states by port number; the caller keeps it current.
        known: filled with ids of meters and groups.
        watched: the switch reports changes on this connection already, and refuses to be asked twice.
    """

    def __init__(
        self,
        wire: Transport,
        dpid: int,
        ports: dict[int, decode.PortState],
        known: KnownObjects,
        watched: bool = False,
    ) -> None:
        super().__init__(wire, dpid, 0)
        self._ports = ports
        self._known = known
        self._meters = known.meters
        self._tables: dict[int, int] = {}
        self._most_meters: int | None = None
        self._most_groups: int | None = None
        self._speeds: dict[int, int] = {}
        self._relaying: set[int] = set()
        self._tells_meters = False
        self._watch = range(0)
        self._watched, self._refused = watched, False

    def send(self) -> None:
        if self._known.replaces and not self._watched:
            self._ask_to_watch()
        requests = {
            ofp.OFPMP_PORT_DESC: b"",
            ofp.OFPMP_METER_CONFIG: ALL_METERS,
            ofp.OFPMP_TABLE_FEATURES: b"",
            ofp.OFPMP_GROUP_DESC: b"",
            ofp.OFPMP_METER_FEATURES: b"",
            ofp.OFPMP_GROUP_FEATURES: b"",
        }
        self.ask_all(requests.items())

    def _ask_to_watch(self) -> None:
        # First, so that a change by another controller after any later read is reported.
        self._watch = self.wire.reserve(3)
        self.wire.launch(SentRequest(self, self._watch))
        self.wire.send(watch_request(self._watch))
        self._unanswered += 1

    def interim(self, xid: int, octets: bytes) -> None:
        match int.from_bytes(octets[8:10]):
            case ofp.OFPMP_PORT_DESC:
                for port_no, state, speed in decode.ports(octets):
                    self._ports[port_no] = state
                    self._speeds[port_no] = speed
            case ofp.OFPMP_METER_CONFIG:
                self._meters.update(meter.meter_id for meter in decode.meters(octets))
                self._tells_meters = True
            case ofp.OFPMP_TABLE_FEATURES:
                self._tables.update(features.table_sizes(octets))
            case ofp.OFPMP_METER_FEATURES:
                self._most_meters = features.most_meters(octets)
            case ofp.OFPMP_GROUP_FEATURES:
                self._most_groups = features.most_groups(octets)
            case ofp.OFPMP_GROUP_DESC:
                self._relaying.update(decode.relaying_ports(octets))
                self._known.groups.update(decode.group_ids(octets))
            case ofp.OFPMP_EXPERIMENTER:
                self._watched = True

    def refused(self, flight: SentRequest, xid: int, error: decode.SwitchError) -> None:
        self._refused |= flight.xids == self._watch
        super().refused(flight, xid, error)

    def result(self) -> SwitchUp:
        """Features; a switch may refuse a query."""
        tables = {int(table): self._tables[table] for table in Table if table in self._tables}
        speeds = {port_no: speed for port_no, speed in self._speeds.items() if speed}
        capacity = SwitchCapacity(tables, self._most_meters, self._most_groups, speeds)
        meters = frozenset(self._meters) if self._tells_meters else None
        watched = self._watched and not self._refused
        ports = {port_no: state.up for port_no, state in self._ports.items()}
        live = frozenset(port_no for port_no, state in self._ports.items() if state.live)
        names = {port_no: state.name for port_no, state in self._ports.items() if state.name}
        relaying = frozenset(self._relaying)
        return SwitchUp(self.dpid, ports, capacity, meters, relaying, watched, live=live, names=names)


class PlainSurveyJob(SurveyJob):
    """The same for a switch without extensions: it tells its features too, and is told to drop IP fragments."""

    def __init__(
        self,
        wire: Transport,
        dpid: int,
        ports: dict[int, decode.PortState],
        known: KnownObjects,
        watched: bool = False,
    ) -> None:
        super().__init__(wire, dpid, ports, known, watched)
        self._features: dict[int, TableFeatures] = {}
        self._group_types: frozenset[GroupType] | None = None
        self._fragments = ofp.OFPC_FRAG_NORMAL

    def send(self) -> None:
        first, second = self.wire.reserve(2)
        self.wire.launch(SentRequest(self, range(first, second + 1)))
        self.wire.send(set_config(SwitchConfig(ofp.OFPC_FRAG_DROP, ofp.OFPCML_MAX), first) + get_config(second))
        self._unanswered += 1
        super().send()

    def interim(self, xid: int, octets: bytes) -> None:
        if octets[1] == ofp.OFPT_GET_CONFIG_REPLY:
            self._fragments = config_shown(octets).fragments
            return
        super().interim(xid, octets)
        match int.from_bytes(octets[8:10]):
            case ofp.OFPMP_TABLE_FEATURES:
                self._features.update(features.tables(octets, set(Table)))
            case ofp.OFPMP_GROUP_FEATURES:
                self._group_types = features.group_types(octets)

    def result(self) -> SwitchUp:
        drops = self._fragments == ofp.OFPC_FRAG_DROP
        told = SwitchFeatures(self._features or None, self._group_types, self._most_meters, drops)
        return replace(super().result(), features=told)
