"""``evbridge station vm``: what is requested for a VM, and how its ports are configured, from its OVF.

The station's Debian package has no reader of OVF: what is needed for that is imported when the command runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ryu_apps.cli.station_options import CONTROL, DEADLINE, FILE
from ryu_apps.station_daemon.access_port import set_access_port
from ryu_apps.station_daemon.client import call

if TYPE_CHECKING:
    from ryu_apps.ovf.station_calls import AdapterCall

_VERBS = ("probe", "reserve", "associate", "suspend", "release")
#: Failures that are the caller's: what is in force for the VSI stays as it is.
_MISTAKES = ("bad_call", "conflict", "too_many")
#: Verbs after which the VM is not here.
_LEAVING = ("suspend", "release")


@click.command("vm")
@click.argument("verb", type=click.Choice(_VERBS))
@click.argument("name", metavar="VM")
@click.option("--ovf", "places", multiple=True, required=True, help="Its OVF: file, directory with *.ovf, or URL.")
@click.option("--interface", "interfaces", multiple=True, help="Tap or veth of each adapter, in the order of the OVF.")
@click.option("--uplink", help="Interface to the switch.  [default: the daemon's first]")
@click.option("--native-vlan", type=click.IntRange(1, 4094), help="VLAN of the uplink's untagged frames.")
@click.option("--address", "addresses", multiple=True, metavar="ADAPTER=IP", help="IP address of an adapter.")
@click.option("--migrating", is_flag=True, help="The VM comes from another host (M bit).")
@click.option("--ca-file", type=FILE, help="Certificate authorities of the OVF's server.")
@click.option("--token-file", type=FILE, help="Our token at the OVF's server.")
@DEADLINE
@CONTROL
def vm(
    verb: str,
    name: str,
    places: tuple[str, ...],
    interfaces: tuple[str, ...],
    uplink: str | None,
    native_vlan: int | None,
    addresses: tuple[str, ...],
    migrating: bool,
    ca_file: Path | None,
    token_file: Path | None,
    deadline: float,
    control: Path,
) -> None:
    """Make a call for each adapter of a VM.

    Its OVF describes the adapters.  VERB is probe, reserve, associate, suspend or release.  With --interface the VM's
    ports get VID and priority of the bridge's answers when it is associated, and lose them when it leaves.  If one
    adapter is refused, all are released. Prints each answer; exits 1 if one is no success.
    """
    calls = _calls(name, places, addresses, ca_file, token_file)
    if interfaces and len(interfaces) != len(calls):
        raise click.UsageError(f"{name} has {len(calls)} adapters, and --interface was given {len(interfaces)} times")
    leaves = verb in _LEAVING
    more: dict[str, Any] = {"deadline": deadline}
    if not leaves:
        more |= {"migrating": migrating, **({"uplink": uplink} if uplink else {})}
    answers: list[dict[str, Any]] = []
    for adapter, described in calls:
        asked = {"vsi": described["vsi"]} if leaves else described
        answers.append(_made(control, {"verb": verb, **asked, **more}))
        click.echo(json.dumps({"adapter": adapter, **answers[-1]}))
        if not answers[-1]["ok"] and not leaves:
            break
    good = all(answer["ok"] for answer in answers)
    if leaves:
        # The ports of a VM that leaves may be gone already.
        with suppress(OSError):
            _configure(interfaces, answers, native_vlan)
    elif verb == "probe" or not good:
        mistaken = answers[-1].get("error") in _MISTAKES
        _release(control, calls[: len(answers) - 1] if mistaken else calls, deadline)
    elif verb == "associate":
        try:
            _configure(interfaces, answers, native_vlan)
        except OSError as error:
            _release(control, calls, deadline)
            raise click.ClickException(str(error)) from None
    raise SystemExit(0 if good else 1)


def _calls(
    name: str, places: tuple[str, ...], addresses: tuple[str, ...], ca_file: Path | None, token_file: Path | None
) -> list[AdapterCall]:
    """The calls of a VM; ClickException with every mistake of its OVF."""
    try:
        from ryu_apps.evb.policy.diagnostic import Severity
        from ryu_apps.evb.services.body import SECTIONS
        from ryu_apps.ovf.envelope import read_package
        from ryu_apps.ovf.station_calls import AdapterError, calls_of
        from ryu_apps.ovf_files import acquire
    except ImportError as error:
        raise click.ClickException(f"OVF is read by evbridge, not by the package evbridge-station: {error}") from None
    files = [None if file is None else str(file.absolute()) for file in (ca_file, token_file)]
    acquired, found = acquire(places, Path(), *files)
    packages = []
    for descriptor in acquired:
        package, diagnostics = read_package(((descriptor.file, descriptor.text),), descriptor.fetch, SECTIONS)
        found += diagnostics
        packages += [] if package is None else [package]
    mistakes = [str(each) for each in found if each.severity is Severity.ERROR]
    if mistakes:
        raise click.ClickException("mistakes in the OVF\n" + "\n".join(mistakes))
    try:
        return calls_of(packages, name, _by_adapter(addresses))
    except AdapterError as error:
        raise click.ClickException(str(error)) from None


def _by_adapter(addresses: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for written in addresses:
        adapter, separator, address = written.rpartition("=")
        if not separator or not adapter:
            raise click.UsageError(f"--address: ADAPTER=IP was expected, not {written!r}")
        found.setdefault(adapter, []).append(address)
    return found


def _configure(interfaces: tuple[str, ...], answers: list[dict[str, Any]], native_vlan: int | None) -> None:
    """Give the VM's ports the VLAN and the priority of the answers; of a VM that leaves, none.

    Raises:
        OSError: an interface cannot be configured.
    """
    from ryu_apps.station.filter_text import filter_from_text

    for interface, answer in zip(interfaces, answers, strict=False):
        granted = answer.get("filters") if answer.get("state") == "associated" else None
        entry = filter_from_text(tuple(granted)).entries[0] if granted else None
        tagged = entry is not None and entry.vid != native_vlan
        tci = (entry.pcp if entry.ps else 0) << 13 | entry.vid if entry is not None and tagged else None
        set_access_port(interface, str(answer.get("uplink", "")), tci)


def _release(control: Path, calls: list[AdapterCall], deadline: float) -> None:
    for _, described in calls:
        with suppress(click.ClickException):
            _made(control, {"verb": "release", "vsi": described["vsi"], "deadline": deadline})


def _made(control: Path, written: dict[str, Any]) -> dict[str, Any]:
    try:
        return call(control, written, written["deadline"])
    except OSError as error:
        raise click.ClickException(
            f"{control}: {error.strerror or error}; is `evbridge station run` running?"
        ) from None
