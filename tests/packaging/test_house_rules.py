"""The rules that keep the house in order are themselves kept: each is broken once and must be noticed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for package in ("ryu_apps", "mininet_tests", "tools"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def lint_imports(house: Path) -> str:
    """What import-linter has to say, on one line, empty if it is content."""
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=house, capture_output=True, text=True, timeout=50)
    return " ".join(done.stdout.split()) if done.returncode else ""


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
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
    ],
)
def test_an_import_across_the_grain_is_noticed(house: Path, module: str, forbidden: str) -> None:
    with (house / module).open("a") as source:
        source.write(f"\nimport {forbidden}\n")
    name = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    complaint = lint_imports(house)
    assert name in complaint
    assert forbidden in complaint


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
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert "1 failed, 1 xfailed, 2 errors" in done.stdout
