"""``evbridge ovf``: OVF packages to VSI types and instances, and the other way round."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click

from ryu_apps.cli.check import counted
from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, Severity, error, has_errors, in_reading_order
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.ovf.collect import collect_package
from ryu_apps.ovf.envelope import ReadFile, read_package
from ryu_apps.ovf.instances import instances_text
from ryu_apps.ovf.model import Package
from ryu_apps.ovf.policy_file import policy_file_name, policy_text
from ryu_apps.ovf.writer import write_envelope
from ryu_apps.ovf_files import profile_beside
from ryu_apps.sources import Source, read_sources


@click.group()
def ovf() -> None:
    """Read and write OVF packages: network port profiles are VSI types, adapters are VSIs."""


@ovf.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    *("-o", "--output"),
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Directory to write to.  [default: the current one]",
)
@click.option("--force", is_flag=True, help="Overwrite existing files with other contents.")
def import_(paths: tuple[Path, ...], output: Path, force: bool) -> None:
    """Write policies and instances of an OVF package.

    PATHS are an OVF descriptor and network port profiles (DSP8049); those that the descriptor points to are also looked
    for beside it.  Writes policies/*.yaml and instances.yaml.  Prints one line a mistake, FILE:LINE:COLUMN: REASON;
    if there is any, nothing is written and the status is 1.  A part that is not imported is a warning.
    """
    sources, found = read_sources(paths)
    package, diagnostics = read_package(tuple(sources), _fetch_beside(paths, sources), SECTIONS)
    found += diagnostics
    files: dict[Path, str] = {}
    if package is not None and not has_errors(found):
        files = _files(package, output, ", ".join(path.name for path in paths))
        found += [] if force else _in_the_way(files)
    _report(found, err=False)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if package is not None:
        click.echo(f"{_summary(package)}: {_warnings(found)}")


@ovf.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    *("-o", "--output"),
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to a file.  [default: standard output]",
)
def export(paths: tuple[Path, ...], output: Path | None) -> None:
    """Write an OVF descriptor of policies and instances.

    PATHS are policy files, directories of them, and a file of instances.  Mistakes are printed as by evbridge check, on
    standard error if the descriptor goes to standard output.
    """
    sources, found = read_sources(paths)
    package, diagnostics = collect_package(sources, SECTIONS)
    found += diagnostics
    _report(found, err=output is None)
    if package is None:
        return
    text = write_envelope(package)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"{_summary(package)}: {_warnings(found)}")


def policies_of_package(paths: tuple[Path, ...]) -> dict[str, str]:
    """Return the policy files of an OVF package by name, as ``import`` writes them; with mistakes the command ends."""
    sources, found = read_sources(paths)
    package, diagnostics = read_package(tuple(sources), _fetch_beside(paths, sources), SECTIONS)
    _report([*found, *diagnostics], err=True)
    profiles = package.profiles if package is not None else ()
    origin = ", ".join(path.name for path in paths)
    return {policy_file_name(profile): policy_text(profile, origin) for profile in profiles}


def _fetch_beside(paths: Iterable[Path], sources: list[Source]) -> ReadFile:
    """Finds network port profiles among the files that were named, then beside the first of them; never elsewhere."""
    named = {Path(file).name: (file, text) for file, text in sources}
    directory = next((path.parent for path in paths), Path())

    def fetch(uri: str) -> tuple[str, str] | str:
        name = re.split("[?#]", uri)[0].rpartition("/")[2]
        return named[name] if name in named else profile_beside(directory, uri)

    return fetch


def _files(package: Package, directory: Path, origin: str) -> dict[Path, str]:
    files = {
        directory / "policies" / policy_file_name(profile): policy_text(profile, origin) for profile in package.profiles
    }
    return files | {directory / "instances.yaml": instances_text(package)}


def _in_the_way(files: dict[Path, str]) -> list[Diagnostic]:
    """Files that would be overwritten with something else."""
    return [
        error(str(path), Position(), "is there already and says something else: --force overwrites it")
        for path, text in files.items()
        if path.exists() and path.read_bytes() != text.encode("utf-8")
    ]


def _report(found: list[Diagnostic], err: bool) -> None:
    """Print the diagnostics; end with status 1 if there is an error among them."""
    for diagnostic in in_reading_order(found):
        click.echo(str(diagnostic), err=err)
    if has_errors(found):
        sys.exit(1)


def _summary(package: Package) -> str:
    parts = {"VSI type": package.profiles, "VSI": package.vsis, "network": package.networks}
    return ", ".join(counted(len(items), noun) for noun, items in parts.items())


def _warnings(found: list[Diagnostic]) -> str:
    number = Counter(diagnostic.severity for diagnostic in set(found))[Severity.WARNING]
    return counted(number, "warning") if number else "no mistakes"
