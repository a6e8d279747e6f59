"""Policy files and a file of instances to a package that an envelope can say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error, has_errors, in_reading_order, warning
from ryu_apps.evb.policy.document import read_document
from ryu_apps.evb.policy.loader import load_documents
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.section import Section
from ryu_apps.ovf.instances import load_instances
from ryu_apps.ovf.markup import unwritable
from ryu_apps.ovf.model import Package
from ryu_apps.ovf.profile import profile_of

#: A file of instances lists VSIs, a policy never does.
_INSTANCES = re.compile(r"^vsis\s*:", re.MULTILINE)


def is_instances(text: str) -> bool:
    """Return True if a text is a file of instances rather than a policy or a configuration."""
    return _INSTANCES.search(text) is not None


def collect_package(
    sources: Iterable[tuple[str, str]], sections: tuple[Section, ...] = ()
) -> tuple[Package | None, list[Diagnostic]]:
    """Check files and put them together.

    Args:
        sources: ``(file name, text)`` of policies and of one file of instances at the most.
        sections: the services that a policy may speak of.

    Returns:
        the package, None if there is any error, and all diagnostics in reading order.
    """
    files = list(sources)
    instances = [file for file in files if is_instances(file[1])]
    documents = [read_document(*file) for file in files if file not in instances]
    policies, found = load_documents(documents, sections)
    package = Package()
    for index, source in enumerate(instances):
        loaded, diagnostics = load_instances(*source)
        found += diagnostics
        package = loaded or package
        if index:
            found.append(error(source[0], Position(), f"{instances[0][0]} has the instances already"))
    if policies is None:
        return None, in_reading_order(found)
    for vsi_type in policies.types.values():
        found += _unsayable(vsi_type)
    found += _missing(package, policies.types, instances[0][0] if instances else "")
    if has_errors(found):
        return None, in_reading_order(found)
    by_file = {vsi_type.file: vsi_type for vsi_type in policies.types.values()}
    profiles = sorted(
        (profile_of(document, by_file[document.file]) for document in documents), key=lambda profile: profile.key
    )
    return Package(package.networks, tuple(profiles), package.vsis), in_reading_order(found)


def _unsayable(vsi_type: VsiType) -> Iterator[Diagnostic]:
    """Yield an error for each text that XML cannot express."""
    if unwritable(vsi_type.name):
        yield error(vsi_type.file, Position(), "the name has characters that XML cannot say")
    for rule in (*vsi_type.from_vm.rules, *vsi_type.to_vm.rules):
        if unwritable(rule.description):
            yield error(vsi_type.file, rule.place, "the description has characters that XML cannot say")


def _missing(package: Package, known: Iterable[object], file: str) -> Iterator[Diagnostic]:
    described = set(known)
    for network in package.networks:
        for key in network.vsi_types:
            if key not in described:
                yield error(file, Position(), f"network {network.name!r}: there is no policy for VSI type {key}")
    for vsi in package.vsis:
        if vsi.vsi_type is not None and vsi.vsi_type not in described:
            yield warning(
                file, Position(), f"{vsi.adapter} of {vsi.vm}: there is no policy for VSI type {vsi.vsi_type}"
            )
