"""Pages of the manual say what a reader will see: their commands are typed into one shell, their answers compared."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:(?: {4}.*)?\n)+)", re.MULTILINE)
_MARK = "=== block"

#: The reader of README.rst has a bridge with three ports, the policies, and the configuration of the page.
_READERS_BRIDGE = """
cd "$(mktemp -d)"
ln -s {root}/policies policies
cat > evbridge.yaml <<'END'
{configuration}END
ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev
for port in eth1 eth2 eth3; do ip link add $port type veth peer name $port-p; ovs-vsctl add-port br0 $port; done
"""

#: Namespaces of its own with an Open vSwitch where the tools look for it; all ends with the shell.
_MACHINE = """
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir /run/openvswitch
ip link set lo up
quiet="--detach --no-chdir --pidfile --log-file=/dev/null -vconsole:off -vsyslog:off"
ovsdb-tool create /run/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server /run/conf.db --remote=punix:/run/openvswitch/db.sock $quiet
ovs-vsctl --no-wait init
ovs-vswitchd --disable-system $quiet
"""


#: The program of that name, again until it has an answer: it waits 2 s for lldpad and 5 s for the bridge, too short a
#: time on a busy machine.
_VDPTOOL = """#!/bin/bash
for attempt in {{1..10}}; do
    output=$({program} "$@" 2>&1)
    case "$output" in
        *"timed out"* | *"in progress"*) ;;
        *"mode = "* | *FAILED*) break ;;
        *) [[ " $* " == *" -W "* ]] || break ;;
    esac
    sleep 1
done
[ -z "$output" ] || printf '%s\\n' "$output"
"""


class Step(NamedTuple):
    """Commands to run, and the promised output (None: there is none)."""

    typed: str
    answer: str | None


def steps(page: str) -> list[Step]:
    blocks = [
        (kind, re.sub(r"^ {4}", "", text, flags=re.MULTILINE))
        for kind, text in _BLOCK.findall((ROOT / page).read_text())
    ]
    found: list[Step] = []
    for kind, text in blocks:
        if kind == "bash":
            found.append(Step(text, None))
        elif kind == "text":
            found[-1] = found[-1]._replace(answer=text)
    return found


def readers_bridge() -> str:
    """Return the commands that make what README.rst takes for granted, and write its configuration."""
    (written,) = (text for kind, text in _BLOCK.findall((ROOT / "README.rst").read_text()) if kind == "yaml")
    configuration = re.sub(r"^ {4}", "", written, flags=re.MULTILINE)
    return _READERS_BRIDGE.format(root=ROOT, configuration=configuration)


def type_all(tutorial: list[Step], script: Path, before: str = "") -> list[str]:
    """Output of each step."""
    # A file: what reads its standard input would read the steps that follow.
    typed = _MACHINE + before + "".join(f"echo '{_MARK}'\n{step.typed}" for step in tutorial)
    script.write_text(typed)
    namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    path = os.pathsep.join([str(_programs(script.parent)), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path}
    # Job control, as in the shell of a reader: the last block ends its jobs by number.
    done = subprocess.run(
        [*namespaces, "bash", "-m", str(script)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        # ovs-pki draws Diffie-Hellman parameters, which takes seconds or more than a minute.
        timeout=500,
    )
    return done.stdout.split(f"{_MARK}\n")[1:]


def _programs(folder: Path) -> Path:
    """Folder with the program that takes vdptool's place."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "vdptool").write_text(_VDPTOOL.format(program=shutil.which("vdptool")))
    (programs / "vdptool").chmod(0o755)
    return programs


@pytest.mark.privileged
@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["README.rst", "docs/tutorial.rst", "docs/tls.rst", "docs/cluster.rst", "docs/pods.rst"]
)
def test_the_page_is_true(page: str, tmp_path: Path) -> None:
    tutorial = steps(page)
    answers = type_all(tutorial, tmp_path / "typed", readers_bridge() if page == "README.rst" else "")
    assert len(answers) == len(tutorial), answers[-1]
    compare = doctest.OutputChecker().check_output
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    wrong = [
        f"{step.typed}\n--- promised\n{step.answer}\n--- seen\n{answer}"
        for step, answer in zip(tutorial, answers, strict=True)
        if step.answer is not None and not compare(step.answer.strip() + "\n", answer.strip() + "\n", flags)
    ]
    assert wrong == [], "\n".join(wrong)
