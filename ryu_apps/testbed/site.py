"""Clusters to be built: a topology that is shipped or a fabric of the user's own, read and checked.

Values only; starts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ryu_apps.evb.config import BridgeConfig, load_config
from ryu_apps.evb.policy.diagnostic import Diagnostic
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.vsi_types.managers import ALL_LOCAL
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.topologies.catalogue import describe
from ryu_apps.topologies.mininet_topo import EndSystem, oddities, systems_of

#: End systems and VMs are in one network of this prefix length.
_PREFIX = 24
#: Where the VSI types are, from a folder of scenarios or inventories.
DEFAULT_POLICIES = ("../../policies",)


class SiteError(TestbedError):
    """A cluster cannot be built; ``diagnostics`` are mistakes in the file that describes it, if there are any."""

    def __init__(self, text: str, diagnostics: tuple[Diagnostic, ...] = ()) -> None:
        super().__init__(text)
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster, described.

    Attributes:
        config: with its fabric.
        hosts: an end system for each HOST port; its ``ip`` is empty if no file gives one.
    """

    config: BridgeConfig
    hosts: tuple[EndSystem, ...]

    @property
    def hypervisors(self) -> frozenset[str]:
        """Names of what is at station ports."""
        fabric = self.config.fabric
        return frozenset(
            fabric.switches[port.dpid].interfaces[port.port_no].name for port in fabric.ports(Role.STATION)
        )


def is_file(topology: str) -> bool:
    """Return True if a topology is a file like evbridge.yaml, which has no parameters."""
    return topology.endswith((".yaml", ".yml"))


def site_of(topology: str, parameters: dict[str, int], addresses: dict[str, str], folder: Path) -> Site:
    """The cluster of a name and parameters, or of a file.

    Args:
        topology: a module of topologies/, or a Python or YAML file relative to ``folder``.
        addresses: IPv4 addresses of end systems by name, where the topology has none or others.

    Raises:
        SiteError: there is none, or Mininet could not build it.
    """
    if is_file(topology):
        site = Site(_read(folder / topology), ())
    else:
        try:
            found = describe(str(folder / topology) if topology.endswith(".py") else topology, **parameters)
        except ValueError as error:
            raise SiteError(str(error)) from None
        site = Site(BridgeConfig(found.fabric), found.hosts)
    odd = list(oddities(site.config.fabric))
    if odd:
        raise SiteError(f"{topology}: {'; '.join(odd)}")
    given = {name: f"{address}/{_PREFIX}" for name, address in addresses.items()}
    return replace(site, hosts=systems_of(site.config.fabric, site.hosts, given))


def policies_of(topology: str, written: Sequence[str] | None, folder: Path) -> tuple[str, ...]:
    """Absolute paths of the VSI types: those written, relative to ``folder``, or those of the fabric's own file.

    Raises:
        SiteError: the fabric's file cannot be read.
    """
    if written is None and is_file(topology):
        folder, written = (folder / topology).parent, _read(folder / topology).policies
    return tuple(str((folder / place).resolve()) for place in (DEFAULT_POLICIES if written is None else written))


def has_vsi_managers(topology: str, folder: Path) -> bool:
    """Return True if the bridge of a topology asks VSI managers for types.

    Raises:
        SiteError: the fabric's file cannot be read.
    """
    return is_file(topology) and _read(folder / topology).vsi_managers != ALL_LOCAL


def misfits(topology: str, written: Iterable[str]) -> dict[str, str]:
    """Of ``n``, ``proxies`` and ``parameters``, those that are written although the topology is a file, and why not."""
    names = [name for name in ("n", "proxies", "parameters") if name in set(written) and is_file(topology)]
    return {name: f"a file has no {name}: {topology} is what it is" for name in names}


def config_of(site: Site, policies: tuple[str, ...], max_rules: dict[str, int]) -> BridgeConfig:
    """Configuration of the controller of a site, with these rule budgets by name of the switch.

    Raises:
        SiteError: there is no such switch.
    """
    fabric = site.config.fabric
    unknown = set(max_rules) - {switch.name for switch in fabric.switches.values()}
    if unknown:
        raise SiteError(f"no switch {', '.join(sorted(unknown))}")
    switches = {
        dpid: replace(switch, max_rules=max_rules.get(switch.name, switch.max_rules))
        for dpid, switch in fabric.switches.items()
    }
    # What a user's own bridge remembers is none of ours.
    return replace(site.config, fabric=replace(fabric, switches=switches), policies=policies, state_dir=None)


def _read(path: Path) -> BridgeConfig:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SiteError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    config, diagnostics = load_config(str(path), text)
    if config is None:
        raise SiteError(f"{path}: it has mistakes", tuple(diagnostics))
    return config
