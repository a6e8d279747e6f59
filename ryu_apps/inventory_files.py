"""An inventory of the cluster manager with the OVF descriptors that it names."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from ryu_apps.evb.policy.diagnostic import Diagnostic, Severity, in_reading_order
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.ovf_files import acquire
from ryu_apps.sources import Source
from ryu_apps.vcm.descriptors import read_descriptors
from ryu_apps.vcm.loader import Loaded, load_inventory, ovf_places


def load_with_descriptors(
    source: Source, types: Container[tuple[int, int]] | None = None
) -> tuple[Loaded | None, list[Diagnostic]]:
    """Check an inventory; its descriptors are acquired first.

    Args:
        source: file name and text; paths in it are relative to the folder of the file.
        types: identifier and version of the VSI types that there are; None: not known.

    Returns:
        the inventory, None if there is any error, and all diagnostics.
    """
    file, text = source
    acquired, unread = acquire(ovf_places(file, text), Path(file).parent)
    descriptors, wrong = read_descriptors(
        [(found.file, found.text) for found in acquired], {found.file: found.fetch for found in acquired}, SECTIONS
    )
    loaded, found = load_inventory(file, text, types, descriptors)
    mistakes = [*unread, *(diagnostic for diagnostic in wrong if diagnostic.severity is Severity.ERROR)]
    return None if mistakes else loaded, in_reading_order([*mistakes, *found])
