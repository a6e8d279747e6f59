"""The Debian package ``evbridge``: installed in a minimal Debian, run by its systemd, removed and purged."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ryu_apps.cli.main import SUBCOMMANDS
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.systemd import BootedDebian
from tests.installation.conftest import install

VENV = Path("usr/lib/evbridge")
#: A switch with a station port.
CONFIGURATION = "version: 1\ndps:\n  br0:\n    dp_id: 1\n    interfaces:\n      1: {name: hv1, role: station}\n"
#: Folders of the kernel and of daemons that run, and what dpkg, logrotate, systemd, man-db and ldconfig keep.
CHANGING = (
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/cache",
    "var/lib/dpkg",
    "var/lib/logrotate",
    "var/lib/systemd",
    "var/log",
    "var/tmp",
)
#: Files of accounts, and the former versions that adduser leaves.
ACCOUNTS = {"etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid"}
COMPLETE = "COMP_WORDS=(evbridge {word}); COMP_CWORD=1; _evbridge_completion evbridge {word}; echo ${{COMPREPLY[@]}}"


@pytest.fixture(scope="module")
def before(booted: BootedDebian, bare: Path) -> set[str]:
    """Files that are there without the package."""
    return files(bare)


@pytest.fixture(scope="module")
def debian(booted: BootedDebian, bare: Path, before: set[str], package: Path) -> BootedDebian:
    """The Debian after dpkg has installed the package."""
    install(booted, bare, package)
    return booted


@pytest.fixture
def configuration(bare: Path) -> Iterator[Path]:
    """evbridge.yaml with a switch."""
    file = bare / "etc/evbridge/evbridge.yaml"
    shipped = file.read_text()
    file.write_text(CONFIGURATION)
    yield file
    file.write_text(shipped)


@pytest.fixture
def service(debian: BootedDebian, configuration: Path) -> Iterator[None]:
    """The service, running."""
    started = debian.run("systemctl", "start", "evbridge")
    assert started.returncode == 0, journal(debian)
    yield
    assert debian.run("systemctl", "stop", "evbridge").returncode == 0


def files(root: Path) -> set[str]:
    """Names of the files and folders of a Debian that do not change by themselves."""
    found = set()
    for folder, folders, names in os.walk(root):
        place = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if str(place / name) not in CHANGING]
        found |= {str(place / name) for name in (*folders, *names)}
    return {name for name in found if name.removesuffix("-") not in ACCOUNTS}


def journal(debian: BootedDebian) -> str:
    return debian.run("journalctl", "--unit=evbridge", "--output=cat").stdout


def shown(debian: BootedDebian, attribute: str) -> str:
    """An attribute of the service, as systemd has it."""
    return debian.run("systemctl", "show", f"--property={attribute}", "--value", "evbridge").stdout.strip()


def status(debian: BootedDebian) -> dict[str, object]:
    done = debian.run("evbridge", "status", "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_an_installed_service_waits_for_its_configuration(debian: BootedDebian) -> None:
    assert debian.run("systemctl", "is-enabled", "evbridge").stdout == "disabled\n"
    assert debian.run("systemctl", "is-active", "evbridge").stdout == "inactive\n"
    assert debian.run("evbridge", "check", "/etc/evbridge/evbridge.yaml").returncode == 0
    user = debian.run("getent", "passwd", "evbridge").stdout.strip().split(":")
    assert user[5:] == ["/var/lib/evbridge", "/usr/sbin/nologin"]


def test_the_service_is_active_when_it_serves(debian: BootedDebian, service: None, bare: Path) -> None:
    assert shown(debian, "ActiveState") == "active"
    # At once: a service of Type=notify is active when it has said that it is ready.
    assert [switch["dpid"] for switch in status(debian)["switches"]] == ["0000000000000001"]  # type: ignore[attr-defined]
    account = (bare / "var/lib/evbridge").stat().st_uid
    (process,) = Path(f"/proc/{debian.pid}/root/proc").glob(shown(debian, "MainPID"))
    assert process.stat().st_uid == account != 0


def test_it_is_started_again_after_a_crash(debian: BootedDebian, service: None) -> None:
    former = shown(debian, "MainPID")
    assert debian.run("systemctl", "kill", "--signal=KILL", "evbridge").returncode == 0
    wait_until(
        lambda: shown(debian, "MainPID") not in ("0", former) and shown(debian, "ActiveState") == "active",
        "the service after a crash",
    )


def test_a_mistake_in_the_configuration_keeps_it_from_starting(debian: BootedDebian, configuration: Path) -> None:
    configuration.write_text(CONFIGURATION.replace("station", "hypervisor"))
    assert debian.run("systemctl", "start", "evbridge").returncode != 0
    assert re.search(r"/etc/evbridge/evbridge.yaml:6:\d+: .*hypervisor", journal(debian)), journal(debian)
    # It is tried again and again, and starts by itself when the mistake is mended.
    configuration.write_text(CONFIGURATION)
    wait_until(lambda: shown(debian, "ActiveState") == "active", "the service with the mended configuration")
    assert debian.run("systemctl", "stop", "evbridge").returncode == 0


def test_a_reload_puts_the_configuration_in_force(debian: BootedDebian, service: None, configuration: Path) -> None:
    configuration.write_text(CONFIGURATION + "      2: {name: hv2, role: station}\n")
    assert debian.run("systemctl", "reload", "evbridge").returncode == 0
    wait_until(lambda: "config.loaded switches=1 ports=2" in journal(debian), "the new port")
    configuration.write_text(CONFIGURATION.replace("station", "hypervisor"))
    assert debian.run("systemctl", "reload", "evbridge").returncode == 0
    wait_until(lambda: shown(debian, "StatusText").startswith("refused: /etc/evbridge/evbridge.yaml:6:"), "the refusal")
    wait_until(lambda: shown(debian, "ActiveState") == "active", "the end of the reload")


def test_its_log_file_is_rotated(debian: BootedDebian, configuration: Path, bare: Path) -> None:
    settings = bare / "etc/evbridge/bridge.conf"
    shipped = settings.read_text()
    settings.write_text(shipped.replace("#EVBRIDGE_LOG=", "EVBRIDGE_LOG="))
    log = bare / "var/log/evbridge/evbridge.log"
    try:
        assert debian.run("systemctl", "start", "evbridge").returncode == 0, journal(debian)
        assert log.stat().st_size > 0
        rotated = debian.run("logrotate", "--force", "/etc/logrotate.d/evbridge")
        assert (rotated.returncode, rotated.stderr) == (0, "")
        assert log.with_name("evbridge.log.1").exists()
        assert debian.run("systemctl", "reload", "evbridge").returncode == 0
        wait_until(lambda: log.exists() and "config.loaded" in log.read_text(), "a line in the new file")
    finally:
        debian.run("systemctl", "stop", "evbridge")
        settings.write_text(shipped)


@pytest.mark.parametrize("name", ["evbridge", *(f"evbridge-{name}" for name in SUBCOMMANDS if name != "station")])
def test_there_is_a_manual_page(debian: BootedDebian, name: str) -> None:
    done = debian.run("man", "--warnings", name)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{name.upper()}(8)")


def test_bash_completes_commands(debian: BootedDebian) -> None:
    script = f". /usr/share/bash-completion/completions/evbridge; {COMPLETE.format(word='sta')}"
    done = debian.run("bash", "-c", script)
    assert sorted(done.stdout.split()) == ["station", "stations", "status"], done.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("usr/share/zsh/vendor-completions/_evbridge", "#compdef evbridge"),
        ("usr/share/fish/vendor_completions.d/evbridge.fish", "complete --no-files --command evbridge"),
    ],
)
def test_other_shells_have_completion(debian: BootedDebian, bare: Path, file: str, line: str) -> None:
    assert line in (bare / file).read_text()


def test_nothing_in_the_package_tells_where_it_was_built(bare: Path, debian: BootedDebian, package: Path) -> None:
    place = str(package.parents[1]).encode()
    assert [file for file in (bare / VENV).rglob("*") if file.is_file() and place in file.read_bytes()] == []


def test_systemd_finds_no_fault_with_the_unit(debian: BootedDebian) -> None:
    done = debian.run("systemd-analyze", "verify", "evbridge.service")
    assert (done.returncode, done.stderr) == (0, "")


# The last: they take the package away.
def test_a_removal_leaves_configuration_and_state(debian: BootedDebian, configuration: Path, bare: Path) -> None:
    assert debian.run("systemctl", "enable", "--now", "evbridge").returncode == 0, journal(debian)
    assert debian.run("evbridge", "token", "create", "prometheus", "--role", "read").returncode == 0
    removed = debian.run("dpkg", "--remove", "evbridge")
    assert removed.returncode == 0, removed.stderr
    assert debian.run("systemctl", "is-active", "evbridge").stdout != "active\n"
    assert configuration.read_text() == CONFIGURATION
    assert (bare / "var/lib/evbridge/state.sqlite").exists()
    assert not (bare / VENV).exists()


def test_a_purge_leaves_nothing(debian: BootedDebian, before: set[str], bare: Path) -> None:
    purged = debian.run("dpkg", "--purge", "evbridge")
    assert (purged.returncode, purged.stderr) == (0, "")
    assert files(bare) == before
    assert [name for name in ("lib", "log") if (bare / "var" / name / "evbridge").exists()] == []
    assert debian.run("getent", "passwd", "evbridge").stdout == ""
