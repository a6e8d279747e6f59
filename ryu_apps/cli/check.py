"""``evbridge check``: every mistake in the files an operator writes at once, as compilers print them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from ryu_apps.cli.profiles import refused_types
from ryu_apps.evb.config import BridgeConfig, load_config
from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, Severity, error, has_errors, in_reading_order, warning
from ryu_apps.evb.policy.document import read_document
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS, missing_names
from ryu_apps.inventory_files import load_with_descriptors
from ryu_apps.ovf.collect import is_instances
from ryu_apps.ovf.instances import load_instances
from ryu_apps.sources import Source, read_sources

#: A configuration describes switches, a policy never does.
_CONFIGURATION = re.compile(r"^dps\s*:", re.MULTILINE)
#: Neither describes nodes.
_INVENTORY = re.compile(r"^nodes\s*:", re.MULTILINE)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def check(paths: tuple[Path, ...]) -> None:
    """Check VSI types, configurations, inventories and files of instances.

    PATHS are policy files, directories of them, inventories of a cluster manager, files of instances, and
    evbridge.yaml files, whose policies are checked along with them.  Prints one line a mistake,
    FILE:LINE:COLUMN: REASON, and exits 1 if there is any; warnings alone exit 0.
    """
    sources, found = read_sources(paths)
    kinds: dict[str, list[Source]] = {"policy file": [], "configuration": [], "inventory": [], "instances file": []}
    for source in sources:
        kinds[_kind(source[1])].append(source)
    policies, fabrics = kinds["policy file"], []
    for source in kinds["configuration"]:
        config, diagnostics = load_config(*source)
        more, unreadable = _policies_of(source, config)
        known = {Path(name).resolve() for name, _ in policies}
        policies += [policy for policy in more if Path(policy[0]).resolve() not in known]
        found += diagnostics + unreadable + _unmapped(config, more)
        fabrics += [] if config is None else [config.fabric]
    types, mistakes = load_policies(policies, SECTIONS)
    found += mistakes + ([] if types is None else list(refused_types(types, fabrics))) + _empty_sets(types)
    found += [diagnostic for source in kinds["inventory"] for diagnostic in load_with_descriptors(source)[1]]
    found += [diagnostic for source in kinds["instances file"] for diagnostic in load_instances(*source)[1]]
    _report(found, kinds)


def examine(path: Path) -> tuple[BridgeConfig | None, list[Diagnostic]]:
    """A configuration, None if it cannot be used, and all mistakes in it and in the policies it names."""
    sources, found = read_sources([path])
    if not sources:
        return None, found
    config, diagnostics = load_config(*sources[0])
    policies, unreadable = _policies_of(sources[0], config)
    found += diagnostics + unreadable + load_policies(policies, SECTIONS)[1]
    return None if has_errors(found) else config, in_reading_order(found)


def _kind(text: str) -> str:
    if _CONFIGURATION.search(text):
        return "configuration"
    if _INVENTORY.search(text):
        return "inventory"
    return "instances file" if is_instances(text) else "policy file"


def _policies_of(source: Source, config: BridgeConfig | None) -> tuple[list[Source], list[Diagnostic]]:
    """The policies that a configuration names; a path that does not exist is a mistake of its line."""
    if config is None:
        return [], []
    places = [Path(source[0]).parent / path for path in config.policies]
    policies, found = read_sources(place for place in places if place.exists())
    document = read_document(*source)
    missing = [
        error(source[0], document.value_place(("policies", number)), f"{place} does not exist")
        for number, place in enumerate(places)
        if not place.exists()
    ]
    return policies, found + missing


def _unmapped(config: BridgeConfig | None, policies: list[Source]) -> list[Diagnostic]:
    """Warnings about types of a configuration whose VSIs are refused: it lacks what they name."""
    types = load_policies(policies, SECTIONS)[0]
    if config is None or types is None:
        return []
    found = [missing for vsi_type in types.types.values() for missing in missing_names(vsi_type, config.fabric)]
    return [
        warning(each.file, Position(each.line, each.column), f"{each.reason}: its VSIs are refused") for each in found
    ]


def _empty_sets(policies: PolicySet | None) -> list[Diagnostic]:
    """Warnings about sets that select no VSI of any file, and about labels whose VSIs are in no set."""
    types = list(policies.types.values()) if policies is not None else []
    empty = [
        warning(vsi_type.file, Position(), f"set {name}: none of these files has a VSI type that it selects")
        for vsi_type in types
        for name, address_set in vsi_type.sets
        if not any(address_set.selects(other.key, other.labels) for other in types)
    ]
    unchecked = [
        warning(vsi_type.file, Position(), "its VSIs are in no set, whatever its labels: anti_spoofing.ip is false")
        for vsi_type in types
        if vsi_type.labels and not vsi_type.anti_spoofing.ip
    ]
    return empty + unchecked


def _report(found: list[Diagnostic], checked: dict[str, list[Source]]) -> None:
    for diagnostic in in_reading_order(found):
        click.echo(str(diagnostic))
    errors = sum(diagnostic.severity is Severity.ERROR for diagnostic in set(found))
    if errors:
        sys.exit(1)
    totals = [counted(len(sources), kind) for kind, sources in checked.items() if sources]
    warnings = counted(len(set(found)), "warning") if found else "no mistakes"
    click.echo(f"{' and '.join(totals)}: {warnings}")


def counted(number: int, thing: str) -> str:
    """``2 warnings``."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number} {thing if number == 1 else plural}"
