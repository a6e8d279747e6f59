"""The import-linter contract behind "who may import whom": a table of allowed imports, read top down.

import-linter's own contracts say what is forbidden, so a new package is free until someone thinks
of it.  Here a package may import itself and what its row names, and nothing else of ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyContract(Contract):  # type: ignore[misc]
    """Rows ``package: what it may import``; the longest package that fits a module is its row.

    A line without a colon continues the one before.  A module that fits no row may import nothing of
    ours.  Other people's packages, and the empty packages around a module, are not looked at.
    """

    type_name = "only"
    rows = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at every direct import between two modules of ours."""
        table = read_rows(self.rows)
        broken = sorted(_broken(graph, table))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name the file, the line and what it should not import."""
        for importer, line, imported in check.metadata["broken"]:
            output.print_error(f"{importer}:{line} may not import {imported}")


def read_rows(lines: list[str]) -> dict[str, list[str]]:
    """Return each package with what it may import."""
    table: dict[str, list[str]] = {}
    package = ""
    for line in lines:
        named, colon, allowed = line.rpartition(":")
        package = named if colon else package
        table.setdefault(package, []).extend(allowed.split())
    return table


def _broken(graph: ImportGraph, table: dict[str, list[str]]) -> Iterator[tuple[str, int, str]]:
    ours = {module for module in graph.modules if not graph.is_module_squashed(module)}
    for importer in ours:
        package = max((name for name in table if _inside(importer, name)), key=len, default=importer)
        allowed = (package, *table.get(package, ()))
        for imported in graph.find_modules_directly_imported_by(importer) & ours:
            if not any(_inside(imported, name) for name in allowed) and not _inside(importer, imported):
                details = graph.get_import_details(importer=importer, imported=imported)
                yield importer, details[0]["line_number"], imported


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
