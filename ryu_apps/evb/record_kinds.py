"""Record kinds: the keys of what the bridge saves in its store, the schema version of each, and its readers.

A record is saved under a key that begins with the prefix of its kind.  Kinds without a subject have one record, whose
key is the prefix.  The values are msgpack arrays that begin with the schema version, where the kind has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordKind:
    """One row of the table of records.

    Attributes:
        prefix: first characters of every key of this kind; no other kind begins with it.
        subject: description of what follows the prefix in a key; empty if nothing does.
        schema: version of the value's layout; 0 if the value has none.
        codec: module that encodes and decodes the value, relative to ``ryu_apps.evb``.
        unreadable: effect of a value that cannot be decoded.
    """

    prefix: str
    subject: str
    schema: int
    codec: str
    unreadable: str

    def key(self, subject: object = "") -> str:
        """Return the key of a record."""
        return f"{self.prefix}{subject}"

    def subject_of(self, key: str) -> str:
        """Return what follows the prefix in a key of this kind."""
        return key.removeprefix(self.prefix)


def at_port(vsi: object, port: object) -> str:
    """Return the subject of a record of a VSI at a port."""
    return f"{vsi}@{port}"


ATTACHMENT = RecordKind(
    "vsi/",
    "VSIID@port",
    2,
    "vsi.records.attachment",
    "event vsi.not_restored; the VSI returns with the next keep-alive of its station",
)
OPENING = RecordKind(
    "opening/", "VSIID@port", 1, "vsi.records.opening", "counts as that of a VSI which had its gate nowhere before"
)
DEPARTED = RecordKind(
    "departed/", "VSIID", 1, "vsi.departures", "deleted; a stale station is refused, not answered De-Associate"
)
STATISTICS = RecordKind("statistics/", "VSIID or VSIID@port", 1, "vsi.statistics.totals", "deleted; totals begin anew")
SUMS = RecordKind(
    "sums/", "vSwitch", 1, "vsi.statistics.sums", "deleted; the sums of a vSwitch go on without VSIs that have left"
)
BALANCER = RecordKind("balancer/", "load balancer", 0, "vsi.pools", "deleted; the back ends are as configured")
SILENT = RecordKind("silent/", "appliance", 0, "vsi.steering", "deleted; its instances count as answering")
INSTANCE_DOWN = RecordKind(
    "instance-down/", "port", 0, "vsi.steering", "its presence counts: the port of an instance of an appliance is down"
)
VSI_TYPE = RecordKind("type/", "URL", 1, "vsi_types.cache", "deleted; the type is fetched again")
RELAY = RecordKind("relay/", "port", 0, "bridge.engine", "its presence counts: reflective relay is on")
STATION = RecordKind("station/", "port", 0, "bridge.engine", "six octets, the MAC address of the station")
LINKS_DOWN = RecordKind(
    "links/down", "", 0, "switches.rerouting", "ignored; all links count as up until a switch reports them"
)
RECOVERING = RecordKind("recovering", "", 0, "switches.recovery", "read as empty; every switch gets its grace time")
GENERATION = RecordKind(
    "generation", "", 1, "generation", "as a lost one: the clock alone says how new the bridge is, see decision 0065"
)
LEASE = RecordKind("lease", "", 1, "cluster.lease", "as none: any member of the cluster claims it")
BEAT = RecordKind("beat", "", 1, "cluster.lease", "as none; members wait for their own patience")
MEMBER = RecordKind("member/", "name", 1, "cluster.members", "the standby is not listed")
PROBE = RecordKind("probe", "", 0, "bridge.engine", "never read; written to see whether a store works again")

RECORD_KINDS = (
    *(ATTACHMENT, DEPARTED, STATISTICS, BALANCER, VSI_TYPE, RELAY, STATION, LINKS_DOWN, RECOVERING, GENERATION),
    *(SUMS, SILENT, INSTANCE_DOWN, PROBE, LEASE, BEAT, MEMBER, OPENING),
)


def kind_of(key: str) -> RecordKind | None:
    """Return the kind of a record; None: no kind of this version."""
    return next((kind for kind in RECORD_KINDS if key.startswith(kind.prefix)), None)


def by_kind(records: Mapping[str, bytes]) -> dict[RecordKind, dict[str, bytes]]:
    """Sort records by kind.

    A record of no kind is sorted as an attachment: it cannot be decoded as one, which is reported with its key.
    """
    found: dict[RecordKind, dict[str, bytes]] = {kind: {} for kind in RECORD_KINDS}
    for key, value in records.items():
        found[kind_of(key) or ATTACHMENT][key] = value
    return found
