"""The lines for pip, uv and pipx of docs/installation.rst, run as written, on Debian 12 and in a minimal Debian 13.

What they install serves an Open vSwitch.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.interop.private_ovs import PrivateOvs, wait_for
from tests.worlds.packages import copy_sources

PAGE = (Path(__file__).parents[2] / "docs/installation.rst").read_text(encoding="utf-8")
#: Installer -> its lines.
LINES = {
    installer: dedent(block)
    for installer, block in re.findall(
        r"\*\*[Ww]ith (\w+)\*\*.*?\.\. code-block:: sh\n\n((?:(?: {4}[^\n]*)?\n)+)", PAGE, re.DOTALL
    )
}
#: Installer -> the command that it installs, in the home folder ``/root`` or in the sources.
COMMANDS = {"pip": "evb/bin/evbridge", "uv": "/root/.local/bin/evbridge", "pipx": "/root/.local/bin/evbridge"}
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
DPID = 9
CONFIGURATION = f"version: 1\ndps:\n  br9:\n    dp_id: {DPID}\n    interfaces:\n      1: {{name: hv1, role: station}}\n"
#: Enters a root: in a process tree of its own, whose end ends all in it.
_ENTER = """\
mount -t proc proc {root}/proc
for device in null zero random urandom; do touch {root}/dev/$device; mount --bind /dev/$device {root}/dev/$device; done
exec chroot {root} sh -ec "$0"
"""
#: The first lines of a shell in there.
_INSIDE = "export HOME=/root; export PATH=/tools/bin:$PATH; cd /tree; "


class Root:
    """A root file system of a Debian; commands run in it with the network of this machine or of a namespace."""

    def __init__(self, folder: Path, archive: Path) -> None:
        self.path = folder / "root"
        self.path.mkdir()
        subprocess.run(["tar", "-C", self.path, "-xf", archive], check=True)
        shutil.copy("/etc/resolv.conf", self.path / "etc/resolv.conf")
        # The index may be reached with this machine's certificates alone.
        certificates = ssl.get_default_verify_paths().cafile
        if certificates is not None:
            place = self.path / certificates.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(certificates, place)

    def command(self, script: str, namespace: str | None = None) -> list[str]:
        """A command that runs a script in there, to be started by this machine."""
        network = ["ip", "netns", "exec", namespace] if namespace else []
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec"]
        return [*network, *enter, _ENTER.format(root=self.path), _INSIDE + script]

    def run(self, script: str, namespace: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(script, namespace), env=environment(), capture_output=True, text=True, timeout=500
        )


def environment() -> Mapping[str, str]:
    """This one with the settings of pip, but for what the tests themselves are run with."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))} | {
        "PATH": PATH,
        "HOME": "/root",
    }


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A Debian with the sources in ``/tree``, and uv and pipx of the index in ``/tools``."""
    root = Root(
        tmp_path_factory.mktemp("debian"), Path(os.environ["EVBRIDGE_PYTHON_ROOTS"], f"python-{request.param}.tar")
    )
    copy_sources(root.path)
    done = root.run("python3 -m venv /tools; /tools/bin/pip --quiet install uv pipx")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def switch() -> Iterator[PrivateOvs]:
    with PrivateOvs() as ovs:
        ovs.add_bridge("br9", DPID, "tcp:127.0.0.1:6653")
        yield ovs


def status(root: Root, command: str, namespace: str) -> dict[str, Any]:
    """Answer of ``evbridge status``; empty if there is none yet."""
    done = root.run(f"{command} status --json", namespace)
    return json.loads(done.stdout) if done.returncode == 0 else {}


@pytest.mark.parametrize("installer", ["pip", "uv", "pipx"])
def test_what_the_lines_install_serves_a_switch(root: Root, switch: PrivateOvs, installer: str) -> None:
    command = COMMANDS[installer]
    shutil.rmtree(root.path / "root", ignore_errors=True)
    (root.path / "root").mkdir()
    done = root.run(LINES[installer])
    assert done.returncode == 0, done.stderr
    assert re.search(r"^evbridge, version \S+$", done.stdout, re.MULTILINE), done.stdout
    (root.path / "tree/evbridge.yaml").write_text(CONFIGURATION)
    checked = root.run(f"{command} check evbridge.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr

    log = root.path / "tree/log"
    with log.open("wb") as output:
        bridge = subprocess.Popen(
            root.command(f"exec {command} run --config evbridge.yaml", switch.namespace),
            env=environment(),
            stdout=output,
            stderr=output,
        )
    try:

        def is_ready() -> bool:
            assert bridge.poll() is None, log.read_text()
            switches = status(root, command, switch.namespace).get("switches", [])
            return [shown["readiness"] for shown in switches] == ["ready"]

        wait_for(is_ready, "switch that is ready")
        assert switch.flows("br9")
    finally:
        bridge.kill()
        bridge.wait()
    assert "Traceback" not in log.read_text()
