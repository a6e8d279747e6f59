"""Rules of the code beyond linting: imports, words, packages; each rule is broken once and must be noticed."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: First words of a docstring that is neither a noun phrase nor a sentence with a verb.
QUESTION_WORDS = frozenset(
    {"what", "whatever", "whether", "which", "who", "whoever", "whom", "whose", "how", "where", "when", "why"}
)
#: Names of a loop variable that leave open what it holds.
EMPTY_NAMES = frozenset({"one", "it", "thing"})

#: Packages under ``ryu_apps`` with a docstring of five to ten lines and no logic in ``__init__.py``.
DESCRIBED = [
    "cli",
    "evb",
    "evb/bridge",
    "evb/config",
    "evb/event_catalogue",
    "evb/explanation",
    "evb/flow",
    "evb/pipeline",
    "evb/policy",
    "evb/ports",
    "evb/protocol",
    "evb/services",
    "evb/simulation",
    "evb/snooping",
    "evb/switches",
    "evb/topology",
    "evb/vsi",
    "evb/vsi_types",
    "evb/wire",
    "listening",
    "ovf",
    "picture",
    "process",
    "rest",
    "southbound",
    "station",
    "stores",
    "testbed",
    "testbed/faults",
    "testbed/harness",
    "testbed/hypervisors",
    "testbed/lab",
    "testbed/ladder",
    "testbed/manager",
    "testbed/matrix",
    "testbed/measurement",
    "testbed/moves",
    "testbed/replay",
    "testbed/sweep",
    "topologies",
    "vcm",
]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for package in ("ryu_apps", "mininet_tests", "tools"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def lint_imports(house: Path) -> str:
    """Output of import-linter on one line; empty if it finds no fault."""
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=house, capture_output=True, text=True, timeout=120)
    return " ".join(done.stdout.split()) if done.returncode else ""


#: Imports that the rules forbid, by the module that might have them.
FORBIDDEN = [
    ("ryu_apps/evb/wire/cursor.py", "ryu_apps.evb.topology.fabric"),
    ("ryu_apps/evb/flow/rule.py", "ryu_apps.evb.wire.cursor"),
    ("ryu_apps/evb/topology/fabric.py", "ryu_apps.evb.flow.rule"),
    ("ryu_apps/evb/model.py", "ryu_apps.evb.flow.rule"),
    ("ryu_apps/evb/protocol/table.py", "ryu_apps.evb.flow.rule"),
    ("ryu_apps/evb/policy/__init__.py", "ryu_apps.evb.wire.cursor"),
    ("ryu_apps/evb/services/__init__.py", "ryu_apps.evb.protocol.table"),
    ("ryu_apps/evb/vsi/registry.py", "ryu_apps.evb.bridge.engine"),
    ("ryu_apps/southbound/__init__.py", "ryu_apps.evb.bridge.engine"),
    ("ryu_apps/cli/main.py", "ryu_apps.evb_bridge"),
    ("ryu_apps/evb/bridge/engine.py", "ryu_apps.southbound"),
    ("ryu_apps/ovf/__init__.py", "ryu_apps.evb.bridge.engine"),
    ("ryu_apps/ovf/__init__.py", "pathlib"),
    ("ryu_apps/ovf/__init__.py", "socket"),
    ("ryu_apps/evb/bridge/engine.py", "ryu_apps.ovf.model"),
    ("ryu_apps/evb/bridge/engine.py", "ryu"),
    ("ryu_apps/evb/bridge/engine.py", "eventlet"),
    ("ryu_apps/evb/bridge/engine.py", "webob"),
    ("ryu_apps/evb/bridge/engine.py", "socket"),
    ("ryu_apps/evb/bridge/engine.py", "os"),
    ("ryu_apps/evb/bridge/engine.py", "time"),
    ("ryu_apps/evb/bridge/engine.py", "asyncio"),
    ("ryu_apps/evb/bridge/engine.py", "logging"),
    ("ryu_apps/evb/bridge/engine.py", "sqlite3"),
    ("ryu_apps/vcm/move.py", "ryu_apps.evb.bridge.engine"),
    ("ryu_apps/vcm/orchestrator.py", "time"),
    ("ryu_apps/evb/bridge/engine.py", "ryu_apps.vcm.move"),
]


def noticed(module: str, forbidden: str, complaint: str) -> bool:
    """True if import-linter names both ends of an import."""
    name = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if forbidden.startswith("ryu_apps."):
        return re.search(rf" {name}:\d+ may not import {forbidden}(?= |$)", complaint) is not None
    return re.search(rf" {name} -> {forbidden} \(l\.\d+\)", complaint) is not None


def test_an_import_across_the_grain_is_noticed(house: Path) -> None:
    for module, forbidden in FORBIDDEN:
        with (house / module).open("a") as source:
            source.write(f"\nimport {forbidden}\n")
    complaint = lint_imports(house)
    missed = [(module, forbidden) for module, forbidden in FORBIDDEN if not noticed(module, forbidden, complaint)]
    assert not missed, complaint


def test_a_package_without_a_row_may_import_nothing(house: Path) -> None:
    (house / "ryu_apps/newcomer.py").write_text("import ryu_apps.evb.bridge.engine\n")
    assert "ryu_apps.newcomer:1 may not import ryu_apps.evb.bridge.engine" in lint_imports(house)


def test_a_skipped_test_is_a_failed_test(tmp_path: Path) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_skips.py").write_text(
        "import pytest\n"
        "def test_skips_itself(): pytest.skip('no switch')\n"
        "@pytest.mark.skip(reason='later')\n"
        "def test_is_marked(): pass\n"
        "@pytest.mark.xfail(reason='known')\n"
        "def test_expected_to_fail(): assert False\n"
    )
    (tmp_path / "test_module_skips.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--continue-on-collection-errors", "-q", "."]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "1 failed, 1 xfailed, 2 errors" in done.stdout


def first_word(docstring: str) -> str:
    return re.split(r"[^a-z]", docstring.lower(), maxsplit=1)[0]


def questions(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of the docstrings that begin with a question word."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node) or ""
            if first_word(docstring) in QUESTION_WORDS:
                yield getattr(node, "lineno", 1), docstring.splitlines()[0]


def empty_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of the loop variables, of for-clauses and comprehensions, that have an empty name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            for name in ast.walk(node.target):
                if isinstance(name, ast.Name) and name.id in EMPTY_NAMES:
                    yield name.lineno, f"for {name.id}"


@pytest.mark.parametrize("folder", ["bench", "docs", "mininet_tests", "ryu_apps", "tests", "tools"])
@pytest.mark.parametrize("offenders", [questions, empty_names], ids=["docstrings", "names"])
def test_docstrings_and_loop_variables_say_something(
    offenders: Callable[[ast.Module], Iterator[tuple[int, str]]], folder: str
) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in offenders(ast.parse(path.read_text()))
    ]
    assert not found, "\n".join(found)


def test_a_question_and_an_empty_name_are_noticed() -> None:
    tree = ast.parse(
        '"""What a module is."""\n'
        "def total(numbers):\n"
        '    """Whether there are any."""\n'
        "    for one in numbers: pass\n"
        "    return [it for number, it in numbers]\n"
    )
    assert [line for line, _ in questions(tree)] == [1, 2]
    assert [line for line, _ in empty_names(tree)] == [4, 5]


@pytest.mark.parametrize("package", DESCRIBED)
def test_a_package_says_what_it_is_for_and_holds_no_logic(package: str) -> None:
    tree = ast.parse((ROOT / "ryu_apps" / package / "__init__.py").read_text())
    docstring = ast.get_docstring(tree) or ""
    assert 5 <= len(docstring.splitlines()) <= 10
    assert [type(node) for node in tree.body[1:] if not isinstance(node, ast.ImportFrom | ast.Assign)] == []
