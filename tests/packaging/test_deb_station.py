"""The Debian package ``evbridge-station``: built, installed in a minimal Debian, and run there."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ryu_apps.testbed.harness.shell import end, wait_until
from ryu_apps.testbed.harness.systemd import BootedDebian
from tests.worlds.packages import build_station

ROOT = Path(__file__).parents[2]
PROGRAMS = Path("usr/share/evbridge-station")
#: Modules of the package that need a further package: libvirt's binding, QEMU's library.
OPTIONAL = {"ryu_apps.station_daemon.libvirt_events", "ryu_apps.station_daemon.qmp"}
#: Imports the rest of the package, as its daemon and its commands do, and prints what has been loaded.
IMPORTS = """\
import sys
sys.path.insert(0, sys.argv[1])
import ryu_apps.cli.station
import ryu_apps.cli.start
import ryu_apps.station_daemon.daemon
import ryu_apps.station_daemon.libvirt_hook
import ryu_apps.station_daemon.domain
import ryu_apps.station_daemon.proxmox
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from a copy of the sources."""
    return build_station(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="module")
def unpacked(package: Path) -> Path:
    folder = package.parent / "unpacked"
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return folder


def loaded(folder: Path) -> set[str]:
    """Names of the modules that the commands load, with the package's own files and those of this interpreter."""
    command = [sys.executable, "-I", "-c", IMPORTS, str(folder)]
    return set(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split())


def test_the_package_has_the_files_that_it_loads_and_no_others(unpacked: Path) -> None:
    folder = unpacked / PROGRAMS
    files = {file.relative_to(folder).with_suffix("").as_posix().replace("/", ".") for file in folder.rglob("*.py")}
    modules = {name.removesuffix(".__init__") for name in files}
    assert modules == {name for name in loaded(folder) if name.startswith("ryu_apps")} | OPTIONAL


@pytest.mark.parametrize("folder", [ROOT, None], ids=["checkout", "package"])
def test_the_station_needs_neither_ryu_nor_eventlet(unpacked: Path, folder: Path | None) -> None:
    tops = {name.partition(".")[0] for name in loaded(folder or unpacked / PROGRAMS)}
    assert tops & {"ryu", "eventlet", "greenlet", "webob", "pydantic", "networkx", "msgpack", "ruamel", "rich"} == set()
    assert {"click", "defusedxml", "prometheus_client"} <= tops


def test_the_package_has_service_hooks_configuration_and_manual_page(unpacked: Path) -> None:
    for name in ("usr/bin/evbridge-station", str(PROGRAMS / "libvirt-hook"), str(PROGRAMS / "proxmox-hook")):
        assert os.access(unpacked / name, os.X_OK), name
    unit = (unpacked / "lib/systemd/system/evbridge-station.service").read_text()
    (configuration,) = re.findall(r"^EnvironmentFile=/(.*)$", unit, re.MULTILINE)
    (program,) = re.findall(r"^ExecStart=/(\S+) run ", unit, re.MULTILINE)
    assert [(unpacked / name).exists() for name in (configuration, program)] == [True, True]
    page = unpacked / "usr/share/man/man8/evbridge-station.8.gz"
    text = subprocess.run(["zcat", page], check=True, capture_output=True, text=True).stdout
    for command in ("reserve", "associate", "suspend", "release", "status", "run", "proxmox\\-hook", "libvirt\\-hook"):
        assert f".SS {command} " in text


def test_the_version_is_that_of_the_program() -> None:
    (number,) = re.findall(r"^version = (.*)$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    assert (ROOT / "debian/changelog").read_text().startswith(f"evbridge ({number}) ")


@pytest.fixture(scope="module")
def debian(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minimal Debian in which dpkg has installed the package."""
    folder = tmp_path_factory.mktemp("debian")
    archive = Path(os.environ.get("EVBRIDGE_DEBIAN_ROOT", folder / "root.tar"))
    if not archive.exists():
        command = [ROOT / "tools/debian-root", archive, "evbridge-station", "python3-libvirt"]
        subprocess.run(command, check=True, capture_output=True, timeout=560)
    root = folder / "root"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", archive], check=True)
    shutil.copy(package, root / "station.deb")
    done = subprocess.run(["chroot", root, "dpkg", "-i", "/station.deb"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def daemon(debian: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command of the unit, in a network of its own, told of a socket for its notifications."""
    unit = (debian / "lib/systemd/system/evbridge-station.service").read_text()
    (command,) = re.findall(r"^ExecStart=(.*) \$OPTIONS \$UPLINKS$", unit, re.MULTILINE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(debian / "run/notify"))
        notified.settimeout(60)
        inside = f"ip link add up0 type veth peer name sw0; ip link set up0 up; ip link set sw0 up; exec {command} up0"
        inside = inside.replace("exec ", f"exec chroot {debian} ")
        process = subprocess.Popen(["unshare", "--net", "sh", "-ec", inside], env={"NOTIFY_SOCKET": "/run/notify"})
        try:
            assert notified.recv(100) == b"READY=1"
            yield process
        finally:
            end(process)
            (debian / "run/notify").unlink()


def command(debian: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["chroot", debian, "evbridge-station", *words], capture_output=True, text=True, timeout=60)


@pytest.mark.privileged
@pytest.mark.slow
def test_the_daemon_answers_in_a_minimal_debian(debian: Path, daemon: subprocess.Popen[bytes]) -> None:
    done = command(debian, "status", "--json")
    assert json.loads(done.stdout) == {"ok": True, "uplinks": {"up0": {"up": True, "bridge": None}}, "vsis": []}
    refused = command(debian, "reserve", "x")
    assert (refused.returncode, json.loads(refused.stdout)["error"]) == (1, "bad_call")
    daemon.terminate()
    wait_until(lambda: daemon.poll() is not None, "the end of the daemon")
    assert "is `evbridge station run` running?" in command(debian, "status").stderr


@pytest.mark.privileged
@pytest.mark.slow
def test_neither_ryu_nor_eventlet_is_in_the_minimal_debian(debian: Path) -> None:
    absent = "import importlib.util as u; print([n for n in ('ryu', 'eventlet', 'pydantic') if u.find_spec(n)])"
    done = subprocess.run(["chroot", debian, "python3", "-c", absent], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("unit", ["evbridge-station", "evbridge-station-libvirt"])
def test_systemd_finds_no_fault_with_the_units(debian: Path, unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", f"--root={debian}", "verify", "--man=no", f"{unit}.service"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", ["evbridge-station", "evbridge-station-libvirt"])
def test_the_units_give_away_no_power_that_they_do_not_need(debian: Path, unit: str) -> None:
    command = ["systemd-analyze", f"--root={debian}", "security", "--offline=yes", "--threshold=25"]
    done = subprocess.run([*command, f"{unit}.service"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def booted(debian: Path) -> Iterator[BootedDebian]:
    """The minimal Debian with its systemd running, the uplink named, and the services started."""
    configuration = debian / "etc/evbridge/station.conf"
    written = configuration.read_text()
    configuration.write_text(re.sub("^UPLINKS=.*", "UPLINKS=up0", written, flags=re.MULTILINE))
    try:
        with BootedDebian(debian) as booted:
            yield booted
    finally:
        configuration.write_text(written)


@pytest.mark.privileged
@pytest.mark.slow
def test_systemd_runs_the_station_and_starts_it_again_after_a_crash(booted: BootedDebian) -> None:
    started = booted.run("systemctl", "start", "evbridge-station")
    assert started.returncode == 0, booted.run("journalctl", "--unit=evbridge-station").stdout
    assert booted.run("evbridge-station", "status").stdout == "up0: up, no bridge\n"
    before = booted.run("systemctl", "show", "--property=MainPID", "evbridge-station").stdout
    assert booted.run("systemctl", "kill", "--signal=KILL", "evbridge-station").returncode == 0
    wait_until(lambda: _runs_anew(booted, before), "the service after a crash")
    # By default systemd gives up a service that ends five times in ten seconds.
    limit = booted.run("systemctl", "show", "--property=StartLimitIntervalUSec", "evbridge-station").stdout
    assert limit == "StartLimitIntervalUSec=0\n"
    assert booted.run("systemctl", "stop", "evbridge-station").returncode == 0
    assert booted.run("systemctl", "is-failed", "evbridge-station").stdout == "inactive\n"


def _runs_anew(booted: BootedDebian, before: str) -> bool:
    """True if the service is ready with another process."""
    now = booted.run("systemctl", "show", "--property=MainPID", "evbridge-station").stdout
    return (
        now not in (before, "MainPID=0\n") and booted.run("systemctl", "is-active", "evbridge-station").returncode == 0
    )


@pytest.mark.privileged
@pytest.mark.slow
def test_systemd_runs_the_listener_which_waits_for_libvirt(booted: BootedDebian) -> None:
    assert booted.run("systemctl", "start", "evbridge-station-libvirt").returncode == 0
    # libvirt itself is not there: its socket is looked for, so the binding works within the limits of the unit.
    wait_until(
        lambda: "libvirt-sock-ro': No such file" in booted.run("journalctl", "--unit=evbridge-station-libvirt").stdout,
        "attempts to reach libvirt",
    )
    assert booted.run("systemctl", "is-active", "evbridge-station-libvirt", "evbridge-station").stdout == "active\n" * 2
