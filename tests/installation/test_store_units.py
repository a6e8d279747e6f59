"""The units of three servers of a store and of a bridge that uses it over TLS, under systemd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.systemd import BootedDebian
from tests.installation.conftest import install

EXAMPLE = "usr/share/doc/evbridge/examples/evbridge-store.service"
SERVERS = (1, 2, 3)
UNITS = [*(f"evbridge-store{number}" for number in SERVERS), "evbridge"]
#: As in docs/cluster.rst.
KEYS = """\
cd /etc/evbridge
ovs-pki --dir=/root/pki --log=/root/pki.log init
for name in store1 store2 store3 evb1; do ovs-pki --dir=/root/pki --log=/root/pki.log req+sign $name; done
for name in store1 store2 store3; do cp /root/pki/switchca/cacert.pem $name-cacert.pem; done
cp /root/pki/switchca/cacert.pem authority.pem
chgrp evbridge evb1-privkey.pem
chmod 640 evb1-privkey.pem
"""
CONFIGURATION = """\
version: 1
store:
  remotes: ["ssl:127.0.0.1:6641", "ssl:127.0.0.2:6641", "ssl:127.0.0.3:6641"]
  private_key: evb1-privkey.pem
  certificate: evb1-cert.pem
  ca_file: authority.pem
dps:
  s1: {dp_id: 1, interfaces: {1: {name: hv1, role: station, native_vlan: 100}}}
"""


@pytest.fixture(scope="module")
def debian(booted: BootedDebian, bare: Path, package: Path) -> BootedDebian:
    """A Debian with the package, keys, and the databases of three servers that do not run yet."""
    install(booted, bare, package)
    typed(booted, KEYS)
    for number in SERVERS:
        unit = (bare / EXAMPLE).read_text().replace("evbridge-store", f"evbridge-store{number}")
        unit = unit.replace("/etc/evbridge/store-", f"/etc/evbridge/store{number}-")
        own = unit.replace("REMOTE=pssl:6641", f"REMOTE=pssl:6641:127.0.0.{number}")
        (bare / f"etc/systemd/system/evbridge-store{number}.service").write_text(own)
        file, address = f"/var/lib/evbridge-store{number}/store.db", f"ssl:127.0.0.{number}:6642"
        first = "init" if number == 1 else "join"
        typed(booted, f"mkdir -p /var/lib/evbridge-store{number}")
        others = [] if number == 1 else ["ssl:127.0.0.1:6642"]
        typed(booted, " ".join(["evbridge cluster", first, "--file", file, "--address", address, *others]))
    typed(booted, "systemctl daemon-reload")
    (bare / "etc/evbridge/evbridge.yaml").write_text(CONFIGURATION)
    return booted


@pytest.fixture(scope="module")
def running(debian: BootedDebian) -> BootedDebian:
    """The servers and the bridge run."""
    for unit in UNITS[:-1]:
        typed(debian, f"systemctl start {unit}")
    wait_until(lambda: all(servers_known_to(debian, number) == 3 for number in SERVERS), "three members")
    started = debian.run("systemctl", "start", "evbridge")
    assert started.returncode == 0, journal(debian, "evbridge")
    return debian


def typed(debian: BootedDebian, commands: str) -> str:
    done = debian.run("sh", "-ec", commands)
    assert done.returncode == 0, f"{commands}: {done.stdout}{done.stderr}"
    return done.stdout


def journal(debian: BootedDebian, unit: str) -> str:
    return debian.run("journalctl", f"--unit={unit}", "--output=cat").stdout


def servers_known_to(debian: BootedDebian, number: int) -> int:
    """Members of the cluster of the store as a server knows them; 0: it is none."""
    done = debian.run("evbridge", "cluster", "status", "--socket", f"/run/evbridge-store{number}/store.ctl")
    return done.stdout.partition("servers")[2].count(" at ssl:") if done.returncode == 0 else 0


def cluster(debian: BootedDebian) -> dict[str, Any]:
    """The cluster of bridges, of which there is one; empty: it does not answer."""
    done = debian.run("evbridge", "status", "--json")
    answer: dict[str, Any] = json.loads(done.stdout)["cluster"] if done.returncode == 0 else {}
    return answer


def pid(debian: BootedDebian, unit: str) -> str:
    return debian.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout.strip()


def test_a_bridge_leads_with_a_store_of_three_servers_over_tls(running: BootedDebian) -> None:
    wait_until(lambda: cluster(running).get("leads"), f"a leader: {journal(running, 'evbridge')}")


def test_a_server_is_started_again_after_a_crash_and_the_bridge_leads_on(running: BootedDebian) -> None:
    before = pid(running, "evbridge")
    for number in SERVERS:
        unit = f"evbridge-store{number}"
        former = pid(running, unit)
        assert running.run("systemctl", "kill", "--signal=KILL", unit).returncode == 0
        wait_until(lambda of=unit, old=former: pid(running, of) not in ("0", old), f"another {unit}")  # type: ignore[misc]
        wait_until(lambda at=number: servers_known_to(running, at) == 3, f"{unit} to be a member")  # type: ignore[misc]
        wait_until(lambda: cluster(running).get("leads"), "the bridge to lead")
    assert pid(running, "evbridge") == before


def test_without_a_majority_the_bridge_runs_and_does_not_lead(running: BootedDebian) -> None:
    for unit in UNITS[:2]:
        typed(running, f"systemctl stop {unit}")
    wait_until(lambda: cluster(running).get("leads") is False, "the end of the lead")
    for unit in UNITS[:2]:
        typed(running, f"systemctl start {unit}")
    wait_until(lambda: cluster(running).get("leads"), "the bridge to lead again")


@pytest.mark.parametrize("unit", UNITS)
def test_each_unit_that_runs_is_confined(running: BootedDebian, unit: str) -> None:
    """As systemd has it in force; below 3.0."""
    done = running.run("systemd-analyze", "security", "--no-pager", "--threshold=29", f"{unit}.service")
    assert done.returncode == 0, done.stdout.splitlines()[-1]


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_no_fault_with_a_unit(running: BootedDebian, unit: str) -> None:
    done = running.run("systemd-analyze", "verify", f"{unit}.service")
    assert (done.returncode, done.stderr) == (0, "")
