"""The cluster that ``evbridge explain`` explains: what a bridge says over REST, and what switches show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import click

from ryu_apps.cli.rest_client import RestClient
from ryu_apps.evb.explanation.cluster import AclView, Owners, PolicyPlace, Port, PortView, SwitchView, TypeView
from ryu_apps.evb.flow.change import FlowTable, RuleChange
from ryu_apps.evb.flow.rule import (
    Group,
    Meter,
    MeterUnit,
    Rule,
)
from ryu_apps.evb.pipeline.notation_reader import read_group, read_rule
from ryu_apps.evb.pipeline.tables import CookieKind, parse_cookie
from ryu_apps.southbound.dump import DumpError, SwitchDump, read_switch

#: Owners of rules whose number is the index of a VSI.
_OF_VSIS = (CookieKind.VSI_BODY, CookieKind.GATE)


class Assumption(NamedTuple):
    """A VSI that counts as associated: words for it, and the changes of its Associate by datapath id."""

    words: str
    vsi: str
    changes: Mapping[int, RuleChange]


class Cluster:
    """Switches as far as frames have reached them.

    Attributes:
        owners: of the rules of those switches.
    """

    def __init__(self, client: RestClient, targets: Iterable[str], assumed: str | None) -> None:
        """Ask for what does not depend on a frame.

        Args:
            targets: switches that are read, as for :func:`~ryu_apps.southbound.dump.read_switch`.
            assumed: ``VSI`` or ``VSI@PORT`` of a VSI that counts as associated.

        Raises:
            ClickException: a switch cannot be read, or the bridge does not answer.
        """
        self._client = client
        status = client.get("/evb/status")
        self._switches = {int(switch["dpid"], 16): switch for switch in status["switches"]}
        self._peers = dict(_peers(status["links"]))
        self._views: dict[int, SwitchView] = {}
        self._types = list(client.get("/evb/vsitypes"))
        self._dumps = dict(map(self._dump, targets))
        self.owners = Owners()
        self.assumption = None if assumed is None else self._assume(assumed)

    def port(self, text: str) -> Port:
        """The port of ``SWITCH:NUMBER``, with name or datapath id of the switch, or of its own name.

        Raises:
            ClickException: there is no such port, or there are several.
        """
        ports = [(Port(dpid, number), view) for dpid in self._switches for number, view in self._ports(dpid).items()]
        found = [port for port, view in ports if text in (view.name, *self._texts(port))]
        if len(found) != 1:
            problem = "no port" if not found else "several ports have the name"
            raise click.ClickException(f"{problem} {text!r}; a port is SWITCH:NUMBER, such as s1:3")
        return found[0]

    def _texts(self, port: Port) -> tuple[str, str]:
        return f"{self._switches[port.dpid]['name']}:{port.number}", f"{port.dpid:016x}:{port.number}"

    def switch(self, dpid: int) -> SwitchView:
        """The switch of a datapath id, with its rules."""
        if dpid not in self._views:
            self._views[dpid] = self._switch(dpid)
        return self._views[dpid]

    def _switch(self, dpid: int) -> SwitchView:
        path = f"{dpid:016x}"
        listed = list(self._client.get(f"/evb/flows/{path}"))
        self._note_owners(listed)
        dump = self._dumps.get(dpid)
        if dump is None:
            groups = [read_group(group["text"]) for group in self._client.get(f"/evb/groups/{path}")]
            meters = map(_meter, self._client.get(f"/evb/meters/{path}"))
            table = _table((read_rule(rule["text"]) for rule in listed), groups, meters)
        else:
            table = _table(dump.rules, dump.groups, dump.meters)
        if self.assumption is not None and dpid in self.assumption.changes:
            table.apply(self.assumption.changes[dpid])
        return SwitchView(dpid, self._switches[dpid]["name"], self._ports(dpid), table, dump is not None)

    def _ports(self, dpid: int) -> dict[int, PortView]:
        switch = self._switches[dpid]
        ports: dict[int, PortView] = {}
        for port in switch["ports"]:
            links = port["bond"]["links"] if port["bond"] else [port]
            for link in links:
                peer = self._peers.get(Port(dpid, link["port_no"]))
                ports[link["port_no"]] = PortView(port["name"], port["role"], link["up"], peer)
        for port in switch["vsi_ports"]:
            ports[port["port_no"]] = PortView(port["name"], "VSI port", port["up"])
        return ports

    def _dump(self, target: str) -> tuple[int, SwitchDump]:
        try:
            dump = read_switch(target)
        except DumpError as error:
            raise click.ClickException(f"--switch {error}") from None
        if dump.dpid not in self._switches:
            raise click.ClickException(f"--switch {target}: the bridge has no datapath {dump.dpid:016x}")
        if dump.unknown:
            click.echo(f"{target}: {dump.unknown} rules of other applications are taken for drops", err=True)
        return dump.dpid, dump

    # --- owners ---
    def _note_owners(self, listed: Iterable[Mapping[str, Any]]) -> None:
        for rule in listed:
            parsed = parse_cookie(int(rule["cookie"], 16))
            if parsed is not None and rule["vsis"]:
                self.owners.vsis[parsed.kind, parsed.owner] = tuple(rule["vsis"])

    def note_types(self, epochs: Iterable[int]) -> None:
        """Ask for the VSI types of policy epochs."""
        wanted = set(epochs) - self.owners.types.keys()
        for summary in self._types:
            for epoch in wanted.intersection(body["epoch"] for body in summary["bodies"]):
                manager = f"?manager={quote(summary['managers'][0])}" if summary["managers"] else ""
                detail = self._client.get(f"/evb/vsitypes/{summary['type']}{manager}")
                acls = (_acl(detail[direction]) for direction in ("from_vm", "to_vm"))
                self.owners.types[epoch] = TypeView(detail["type"], detail["name"], detail["file"], *acls)

    def note_names(self, vsis: Iterable[str]) -> None:
        """Ask for the names of the VMs of some VSIs; one that has gone meanwhile has none."""
        for text in vsis:
            if text not in self.owners.names:
                try:
                    name = self._client.get(f"/evb/vsis/{quote(text)}")["name"]
                except click.ClickException:
                    name = None
                self.owners.names[text] = name or ""

    def staged_at(self, port: Port) -> list[dict[str, Any]]:
        """The VSIs whose rules are staged at a port and whose gate there is shut."""
        found = []
        for vsi in self._client.get(f"/evb/vsis?port={port.dpid:016x}:{port.number}"):
            for attachment in vsi["attachments"]:
                here = attachment["port"] == f"{port.dpid:016x}:{port.number}"
                if here and attachment["phase"] in ("staging", "staged"):
                    found.append({"vsi": vsi["vsi"], "bindings": attachment["bindings"]})
        return found

    # --- as if ---
    def _assume(self, text: str) -> Assumption:
        vsi, _, where = text.partition("@")
        wanted = None if not where else "{:016x}:{}".format(*self.port(where))
        listed = self._client.get(f"/evb/vsis/{quote(vsi)}/foreseen")
        flips = [flip for flip in listed if wanted in (None, flip["port"])]
        if len(flips) != 1:
            ports = ", ".join(flip["port"] for flip in listed)
            problem = f"is staged at several ports: {ports}" if flips else "has no staged rules" + _at(where, ports)
            raise click.ClickException(f"--as-if-associated: VSI {vsi} {problem}")
        (flip,) = flips
        if flip["switches"] is None:
            raise click.ClickException(f"VSI {vsi}: the bridge cannot say beforehand what its Associate changes")
        changes = {int(change["dpid"], 16): _change(change) for change in flip["switches"]}
        for change in changes.values():
            for rule in change.add:
                parsed = parse_cookie(rule.cookie)
                if parsed is not None and parsed.kind in _OF_VSIS:
                    self.owners.vsis[parsed.kind, parsed.owner] = (vsi,)
        dpid, _, number = flip["port"].partition(":")
        switch, _other = self._texts(Port(int(dpid, 16), int(number)))
        return Assumption(f"VSI {vsi} at {switch}", vsi, changes)


def _at(where: str, ports: str) -> str:
    if not where:
        return " at a port where it is not associated"
    return f" at {where}" + (f", but at {ports}" if ports else "")


def _peers(links: Iterable[Mapping[str, Any]]) -> Iterable[tuple[Port, Port]]:
    for link in links:
        ends = [Port(int(text.partition(":")[0], 16), int(text.partition(":")[2])) for text in link["ports"]]
        yield ends[0], ends[1]
        yield ends[1], ends[0]


def _table(rules: Iterable[Rule], groups: Iterable[Group], meters: Iterable[Meter]) -> FlowTable:
    return FlowTable(
        {rule.key: rule for rule in rules},
        {group.group_id: group for group in groups},
        {meter.meter_id: meter for meter in meters},
    )


def _meter(shown: Mapping[str, Any]) -> Meter:
    return Meter(shown["meter_id"], shown["rate"], shown["burst"], MeterUnit(shown["unit"]))


def _change(change: Mapping[str, Any]) -> RuleChange:
    return RuleChange(
        meters=tuple(map(_meter, change["meters"])),
        add=tuple(map(read_rule, change["add"])),
        remove=tuple(map(read_rule, change["remove"])),
    )


def _acl(shown: Mapping[str, Any]) -> AclView:
    return AclView(_places(shown["rules"]), _places(shown["implied"]), shown["default"] == "allow")


def _places(rules: Iterable[Mapping[str, Any]]) -> tuple[PolicyPlace, ...]:
    return tuple(PolicyPlace(rule["action"] == "allow", rule["line"]) for rule in rules)
