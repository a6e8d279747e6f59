"""Faults 2 and 6: switches and their channels restart, break, go silent, fill up, refuse and dawdle."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ryu_apps.evb.pipeline.tables import UNTAGGED_GROUP, Table
from ryu_apps.evb.protocol.timers import agree
from ryu_apps.evb.wire.status import VdpError
from ryu_apps.testbed.faults.proxy import MessageKind, Trap
from ryu_apps.testbed.faults.rig import AT_S1, BRISK, INTERVAL, S1, S2, Rig, RigVm
from ryu_apps.testbed.harness.ovs import dump_flows
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import PATIENCE, run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode
from ryu_apps.testbed.short_timers import QUICK

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

VM, OTHER = RigVm("mover", 31), RigVm("neighbour", 32)
#: Another app that changes switches, on the connections that the bridge has.
OTHERS = ("ryu.app.ofctl_rest",)
#: Where the VM is, at s1, and where it goes, at s2.
HOME, AWAY = "hv1", "hv5"


@pytest.fixture(scope="module")
def switch_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with inside(), Rig(tmp_path_factory.mktemp("faults"), {"hv2": QUICK}, OTHERS) as rig:
        yield rig
        rig.write("switch")


@pytest.fixture
def rig(switch_rig: Rig) -> Iterator[Rig]:
    with switch_rig.restored():
        yield switch_rig
        switch_rig.tidy(VM, OTHER)


def readiness(rig: Rig, dpid: int) -> str:
    switches = rig.controller.get("/evb/status")["switches"]
    return next(switch["readiness"] for switch in switches if int(switch["dpid"], 16) == dpid)


def wait_ready(rig: Rig, *dpids: int, limit: float = PATIENCE) -> float:
    """Seconds until these switches are ready."""
    begun = time.monotonic()
    wait_until(lambda: all(readiness(rig, dpid) == "ready" for dpid in dpids), "switches ready", limit)
    return time.monotonic() - begun


# --- the channel ---
def test_channel_that_is_cut_comes_back_without_one_flow_mod(rig: Rig) -> None:
    rig.admit(VM, HOME)
    before = rig.tables()
    with rig.unharmed("OpenFlow channels of both switches cut") as times:
        rig.proxy.cut(S1, S2, bar=True)
        wait_until(lambda: readiness(rig, S1) == readiness(rig, S2) == "disconnected", "the cut to be noticed")
        sent = dict(rig.proxy.flow_mods)
        rig.proxy.admit()
        times["switches ready again"] = wait_ready(rig, S1, S2)
    rig.assert_tables(before)
    assert rig.proxy.flow_mods == sent


def test_migration_goes_on_when_the_channel_is_back(rig: Rig) -> None:
    rig.admit(VM, HOME)
    rig.granted(AWAY, VdptoolMode.PREASSOCIATE_RR, VM)
    with rig.unharmed("OpenFlow channel of the destination cut between reservation and Associate") as times:
        rig.proxy.cut(S2, bar=True)
        rig.ask(AWAY, VdptoolMode.ASSOCIATE, VM)
        rig.proxy.admit()
        times["switch ready again"] = wait_ready(rig, S2)
        rig.granted(AWAY, VdptoolMode.ASSOCIATE, VM)
        wait_until(lambda: rig.places(VM) == [AWAY], "the VM at its destination")


def test_vm_does_not_move_away_from_a_switch_whose_gate_cannot_be_shut_now(rig: Rig) -> None:
    rig.admit(VM, HOME)
    rig.granted(AWAY, VdptoolMode.PREASSOCIATE_RR, VM)
    with rig.unharmed("OpenFlow channel of the source cut, then an Associate at the destination") as times:
        rig.proxy.cut(S1, bar=True)
        wait_until(lambda: readiness(rig, S1) == "disconnected", "the cut to be noticed")
        since = time.monotonic()
        rig.ask(AWAY, VdptoolMode.ASSOCIATE, VM)
        wait_until(lambda: rig.events(since, "vsi.waits", VM), "the Associate to wait")
        assert rig.places(VM) == [HOME]
        assert not any(message.answer and message.answer.success for message in rig.answers(AWAY, VM, since))
        rig.proxy.admit()
        times["switch ready again"] = wait_ready(rig, S1)
        answers = wait_until(lambda: [said.answer for said in rig.answers(AWAY, VM, since) if said.answer], "an answer")
        if not answers[-1].success:
            # The timers of this rig are short: the time to decide was over before the switch was back.
            rig.admit(VM, AWAY)
        wait_until(lambda: rig.places(VM) == [AWAY], "the VM at its destination")
        assert not rig.events(since, "vsi.gate_left", VM)


def test_silent_channel_is_given_up_and_replaced(rig: Rig) -> None:
    rig.admit(VM, HOME)
    with rig.unharmed("OpenFlow channel half open until the echo timeout") as times:
        begun = time.monotonic()
        rig.proxy.strand(S2, bar=True)
        wait_until(lambda: readiness(rig, S2) == "disconnected", "the controller to give the channel up")
        times["dead channel noticed"] = time.monotonic() - begun
        assert readiness(rig, S1) == "ready"
        rig.granted("hv2", VdptoolMode.PREASSOCIATE_RR, OTHER)
        rig.proxy.admit()
        times["switch ready again"] = wait_ready(rig, S2)
        rig.admit(VM, AWAY)
        assert rig.places(VM) == [AWAY]


# --- the switch ---
def test_switch_whose_rules_are_gone_gets_them_back(rig: Rig) -> None:
    rig.admit(VM, HOME)
    rig.granted(AWAY, VdptoolMode.PREASSOCIATE_RR, VM)
    before = rig.tables()
    with rig.unharmed("rules of the other switch gone", AT_S1) as times:
        rig.proxy.cut(S2, bar=True)
        run(["ovs-ofctl", "-O", "OpenFlow13", "del-flows", "s2"])
        run(["ovs-ofctl", "-O", "OpenFlow13", "del-groups", "s2"])
        assert dump_flows("s2") == []
        rig.proxy.admit()
        times["switch ready again"] = wait_ready(rig, S2)
    rig.assert_tables(before)


def ofctl(command: str, *arguments: str) -> Callable[[Rig], object]:
    """Somebody with a shell at s1."""
    return lambda rig: run(["ovs-ofctl", "-O", "OpenFlow13", command, "s1", *arguments])


def clear(rig: Rig) -> None:
    """Another app, over the connection that the bridge has."""
    rig.controller.delete("/stats/flowentry/clear/1")


#: The gate of the VM, and the group of its port.
GATE = f"table={Table.INGRESS.value},in_port=1,dl_src={VM.mac}"
MEDDLING: dict[str, Callable[[Rig], object]] = {
    "del-flows": ofctl("del-flows"),
    "ofctl_rest clears the flows": clear,
    "one gate deleted": ofctl("del-flows", GATE),
    "one gate altered": ofctl("mod-flows", f"{GATE},actions=drop"),
    "del-groups": ofctl("del-groups"),
    "a group altered": ofctl("mod-group", f"group_id={UNTAGGED_GROUP + 1},type=indirect,bucket=drop"),
    "del-meters": ofctl("del-meters"),
    "everything replaced": ofctl("replace-flows", "/dev/null"),
}


@pytest.mark.parametrize("meddle", MEDDLING.values(), ids=MEDDLING)
def test_what_somebody_deletes_on_a_connected_switch_is_back_at_once(
    rig: Rig, meddle: Callable[[Rig], object], request: pytest.FixtureRequest
) -> None:
    rig.admit(VM, HOME)
    before, drops = rig.tables(), meters("s1")
    with rig.unharmed(f"behind the bridge's back: {request.node.callspec.id}", ("s2",)) as times:
        begun = time.monotonic()
        meddle(rig)
        deleted = time.monotonic()
        wait_until(lambda: rig.events(begun, "switch.altered"), "the bridge to notice")
        wait_until(lambda: rig.events(begun, "switch.ready"), "the switch to be ready again")
        wait_until(lambda: rig.read_tables() == before and meters("s1") == drops, "all to be back", pause=0.02)
        times["all back"] = time.monotonic() - deleted
        times["not ready for"] = between(rig, begun, "switch.altered", "switch.ready")
        if request.node.callspec.id != "a group altered":
            # A station that may have spoken in vain is answered, and goes on.
            wait_until(lambda: rig.answers(HOME, VM, begun), "the station to be reassured")
    wait_ready(rig, S1, S2)
    assert not rig.events(begun, "vsi.gone") and rig.places(VM) == [HOME] and rig.holds(HOME, VM)


def between(rig: Rig, since: float, first: str, last: str) -> float:
    """Seconds between two events."""
    return float(rig.events(since, last)[0]["t"]) - float(rig.events(since, first)[0]["t"])


def meters(switch: str) -> list[str]:
    text = run(["ovs-ofctl", "-O", "OpenFlow13", "dump-meters", switch])
    return sorted(line for line in text.splitlines() if "OFPST" not in line)


def test_what_a_busy_switch_still_holds_is_late_and_not_lost(rig: Rig) -> None:
    """Datagrams of bystanders count when they have arrived, after any delay of the switches by a loaded machine."""
    with rig.bystanders() as loss:
        switches = rig.cluster.ovs.pid
        os.kill(switches, signal.SIGSTOP)
        resumed = threading.Timer(2.0, os.kill, (switches, signal.SIGCONT))
        resumed.start()
        time.sleep(1.0)  # so that there is something to be late
    resumed.join()
    assert min(loss.sent.values()) > 20 and sum(loss.lost.values()) == 0, f"lost {loss.lost} of {loss.sent}"


def test_restarted_switches_forward_again(rig: Rig) -> None:
    rig.admit(VM, HOME)
    before = rig.tables()
    begun = time.monotonic()
    rig.cluster.ovs.kill_switch()
    rig.cluster.ovs.start_switch()
    restarted = time.monotonic()
    wait_until(lambda: rig.read_tables() == before, "all rules to be back")
    times = {"ovs-vswitchd running again": restarted - begun, "all rules back": time.monotonic() - restarted}
    with rig.bystanders() as loss:
        rig.granted(AWAY, VdptoolMode.PREASSOCIATE_RR, VM)
    rig.note("ovs-vswitchd killed and restarted, afterwards", sum(loss.sent.values()), sum(loss.lost.values()), times)
    assert sum(loss.lost.values()) == 0


# --- ports ---
def test_short_port_flap_costs_the_vsi_nothing(rig: Rig) -> None:
    rig.admit(VM, HOME)
    before = rig.tables()
    with rig.unharmed("port of a station down and up"):
        since = time.monotonic()
        run(["ip", "link", "set", "s1-eth1", "down"])
        wait_until(lambda: rig.events(since, "port.down"), "the port to be seen down")
        run(["ip", "link", "set", "s1-eth1", "up"])
        wait_until(lambda: rig.events(since, "port.up"), "the port to be seen up")
        wait_until(lambda: rig.answers(HOME, VM, since), "the station to ask again")
    rig.assert_tables(before)


def test_trunk_that_fails_is_replaced_by_the_other(rig: Rig) -> None:
    with rig.bystanders((*AT_S1, "s2")) as others, rig.bystanders(("across",)) as loss:
        begun = time.monotonic()
        rerouting = noticed(rig, "down")
        wait_until(lambda: time.monotonic() > begun + rerouting + 0.5, "traffic over the other trunk")
        rerouting += noticed(rig, "up")
    longest = loss.lost["across"] * INTERVAL / 2
    assert sum(others.lost.values()) == 0
    # Nothing is lost but what was sent before both switches had noticed.
    assert longest < rerouting + 0.05, f"lost {loss.lost} of {loss.sent}, noticed after {rerouting:g} s"
    rig.note("trunk down and up: VMs at one switch", sum(others.sent.values()), 0, {})
    rig.note(
        "trunk down and up: the pair across", loss.sent["across"], loss.lost["across"], {"without network": longest}
    )


def noticed(rig: Rig, state: str) -> float:
    """Take a trunk down or up; returns the seconds until the switches at both of its ends have reported that."""
    begun = time.monotonic()
    run(["ip", "link", "set", "s1-eth61", state])
    wait_until(lambda: len(rig.events(begun, f"port.{state}")) == 2, f"both ends of the trunk to be seen {state}")
    return max(float(event["t"]) for event in rig.events(begun, f"port.{state}")) - begun


def test_port_that_returns_under_another_number_is_another_port(rig: Rig) -> None:
    """Ports are known by number: the station is mute at the other one, and its VSIs end when they are due."""
    rig.admit(VM, "hv2")
    with rig.unharmed("port of a station returns under another number") as times:
        begun = time.monotonic()
        renumber(rig, "s1-eth2", 9)
        wait_until(lambda: rig.known(VM) is None, "the VSI to expire")
        times["VSI expired"] = time.monotonic() - begun
        assert rig.places(VM) == []
        renumber(rig, "s1-eth2", 2)
        begun = time.monotonic()
        rig.admit(VM, "hv2")
        times["VM admitted under the old number"] = time.monotonic() - begun
        assert rig.places(VM) == ["hv2"]


def renumber(rig: Rig, interface: str, port_no: int) -> None:
    """The port of an interface at s1 goes and comes back with another number."""
    requested = f"ofport_request={port_no}"
    run(["ovs-vsctl", "del-port", "s1", interface])
    run(["ovs-vsctl", "add-port", "s1", interface, "--", "set", "interface", interface, requested])
    wait_until(lambda: str(port_no) == run(["ovs-vsctl", "get", "interface", interface, "ofport"]).strip(), "port")
    rig.cluster.ovs.enlarge_buffers()


# --- what a switch will not do ---
def limit_table(table: Table, rules: int) -> None:
    """From now on the table of s2 takes no more than this many rules."""
    created = ("--id=@t", "create", "Flow_Table", f"flow_limit={rules}", "overflow_policy=refuse")
    run(["ovs-vsctl", "--", *created, "--", "set", "bridge", "s2", f"flow_tables:{table.value}=@t"])


def unlimited() -> None:
    run(["ovs-vsctl", "clear", "bridge", "s2", "flow_tables"])


def rules_in(table: Table) -> int:
    return sum(1 for line in dump_flows("s2") if f"table={table.value}," in line)


@pytest.mark.parametrize("table", [Table.ANTISPOOF, Table.INGRESS], ids=["staging", "activating"])
def test_full_table_is_error_2_and_the_vm_stays_where_it_is(rig: Rig, table: Table) -> None:
    rig.admit(VM, HOME)
    before = rig.tables()
    with rig.unharmed(f"table {table.name} of the destination full") as times:
        begun = time.monotonic()
        limit_table(table, rules_in(table))
        try:
            if table is Table.INGRESS:
                rig.granted(AWAY, VdptoolMode.PREASSOCIATE_RR, VM)
            refused = rig.answered(
                AWAY, VdptoolMode.PREASSOCIATE_RR if table is Table.ANTISPOOF else VdptoolMode.ASSOCIATE, VM
            )
        finally:
            unlimited()
        assert refused.answer is not None and refused.answer.error is VdpError.INSUFFICIENT_RESOURCES
        # The other switch had flipped already; it is told to flip back along with the refusal.
        wait_until(lambda: rig.places(VM) == [HOME], "the VM's gate where it was")
        wait_until(lambda: rig.tables() == before, "nothing left of the attempt")
        times["refused and cleared away"] = time.monotonic() - begun
        wait_ready(rig, S1, S2)
        rig.admit(VM, AWAY)
        assert rig.places(VM) == [AWAY]


def test_slow_switch_delays_nobody_at_the_other(rig: Rig) -> None:
    slow = rig.proxy.set(Trap((MessageKind.CHANGE,), S2, copies=1, until=threading.Event()))
    assert slow.until is not None
    with rig.unharmed("a switch that takes no message for longer than the resource wait delay") as times:
        since = time.monotonic()
        rig.ask(AWAY, VdptoolMode.PREASSOCIATE_RR, VM)
        wait_until(lambda: slow.caught, "the slow switch to be busy")
        begun = time.monotonic()
        answer = rig.granted("hv1", VdptoolMode.PREASSOCIATE_RR, OTHER)
        times["answer at the other switch"] = answer.t - begun
        assert not rig.answers(AWAY, VM, since), "the slow switch was not slow"
        (late,) = wait_until(lambda: rig.events(since, "vdp.response", VM), "the resource wait delay to pass")
        slow.until.set()
        # The refusal itself waits behind what was sent to the switch before it.
        refused = wait_until(lambda: rig.answers(AWAY, VM, since), "the refusal")[0]
        assert refused.answer is not None and refused.answer.error is VdpError.INSUFFICIENT_RESOURCES
        times["refused at the slow one"] = late["t"] - since
    assert times["refused at the slow one"] > agree(BRISK, BRISK).resource_wait_delay
    rig.proxy.clear()
