"""Policy files of the VSI types in OVF packages, as ``evbridge ovf import`` writes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ryu_apps.evb.policy.diagnostic import Diagnostic, Severity, in_reading_order
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.ovf.envelope import read_package
from ryu_apps.ovf.policy_file import policy_file_name, policy_text
from ryu_apps.ovf_files import acquire


class PackageError(Exception):
    """Packages that cannot be had, or have mistakes; the text has a line for each."""


def policies_of_packages(
    places: Iterable[str], base: Path, ca_file: str | None = None, token_file: str | None = None
) -> dict[str, str]:
    """Return the policy files of all packages by name; a type that several describe alike is there once.

    Args:
        places: see :func:`ryu_apps.ovf_files.acquire`, and so are the others.

    Raises:
        PackageError: see there.
    """
    acquired, found = acquire(places, base, ca_file, token_file)
    files: dict[str, str] = {}
    for descriptor in acquired:
        package, diagnostics = read_package(((descriptor.file, descriptor.text),), descriptor.fetch, SECTIONS)
        found += diagnostics
        for profile in package.profiles if package is not None else ():
            # The comment at its top names the package, which is not the same each time.
            text = policy_text(profile, f"type {profile.key}")
            name = policy_file_name(profile)
            if files.setdefault(name, text) != text:
                files[f"{len(files)}_{name}"] = text
    mistakes: list[Diagnostic] = [each for each in in_reading_order(found) if each.severity is Severity.ERROR]
    if mistakes:
        raise PackageError("; ".join(map(str, mistakes)))
    return files
