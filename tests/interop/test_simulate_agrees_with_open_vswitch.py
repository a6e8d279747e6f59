"""The simulated switch emits what a real Open vSwitch says it would (``ofproto/trace``).

The switch is a private one: its own database and daemon in a temporary directory, its user-space
datapath on dummy ports, nothing of the machine's touched.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from ryu_apps.evb.flow.actions import (
    CONTROLLER,
    Action,
    Bits,
    ClearInPort,
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    RegLoad,
    Resubmit,
    SetField,
    StackPop,
    StackPush,
)
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import (
    ANY_TAGGED,
    VLAN_PRESENT,
    Match,
    match,
)
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Rule,
)
from ryu_apps.evb.pipeline.notation import bits_text
from ryu_apps.evb.simulation.packet import SimulationError
from ryu_apps.evb.simulation.switch import MAX_DEPTH, MAX_LOOKUPS, forward

PORTS = range(1, 5)
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
DEADLINE = 60.0

#: What of a copy can be seen in the datapath: port, VID, PCP, source, destination.
Copy = tuple[int, int, int, int, int]


class OpenVswitch:
    """One bridge, ``br0``, with the ports p1 to p4; OpenFlow 1.3 only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._env = os.environ | {f"OVS_{name}": str(directory) for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        database = f"unix:{self._directory}/db.sock"
        self._run("ovsdb-tool", "create", f"{self._directory}/conf.db", SCHEMA)
        self._spawn("ovsdb-server", f"{self._directory}/conf.db", f"--remote=p{database}", self._control("db"))
        vsctl = ("ovs-vsctl", f"--db={database}", "--retry", f"--timeout={DEADLINE:.0f}")
        self._run(*vsctl, "--no-wait", "init")
        self._spawn("ovs-vswitchd", database, "--enable-dummy", "--disable-system", self._control("vswitchd"))
        bridge = ["add-br", "br0", "--", "set", "bridge", "br0"]
        self._run(*vsctl, *bridge, "datapath_type=dummy", "fail-mode=secure", "protocols=OpenFlow13")
        for port in PORTS:
            interface = ["set", "interface", f"p{port}", "type=dummy", f"ofport_request={port}"]
            self._run(*vsctl, "add-port", "br0", f"p{port}", "--", *interface)

    def stop(self) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(timeout=DEADLINE)

    def install(self, table: FlowTable) -> None:
        """Replace everything the bridge holds."""
        self._ofctl("del-flows")
        self._ofctl("del-groups")
        self._ofctl("add-groups", text="\n".join(map(group_text, table.groups.values())))
        self._ofctl("add-flows", text="\n".join(map(rule_text, table.rules.values())))

    def trace(self, frame: Mapping[str, int]) -> str:
        return self._appctl("ofproto/trace", "--names", "br0", frame_text(frame))

    def trace_octets(self, port: int, frame: bytes) -> str:
        """The same, of a frame as it is on the wire."""
        return self._appctl("ofproto/trace", "br0", f"in_port={port}", frame.hex())

    def look_for_tags(self, limit: int) -> None:
        database = f"--db=unix:{self._directory}/db.sock"
        self._run("ovs-vsctl", database, "--timeout=10", "set", "Open_vSwitch", ".", f"other_config:vlan-limit={limit}")

    def set_link(self, port: int, *, up: bool) -> None:
        """Change a port's link and wait until the bridge knows."""
        self._appctl("netdev-dummy/set-admin-state", f"p{port}", "up" if up else "down")
        deadline = time.monotonic() + DEADLINE
        while self._is_up(port) is not up:
            assert time.monotonic() < deadline, f"the link of p{port} did not follow"

    def _is_up(self, port: int) -> bool:
        description = self._ofctl("dump-ports-desc").partition(f"(p{port})")[2]
        return "LIVE" in description.partition("speed")[0]

    def _ofctl(self, command: str, text: str | None = None) -> str:
        arguments = ["-"] if text is not None else []
        return self._run(
            "ovs-ofctl", "-O", "OpenFlow13", command, f"unix:{self._directory}/br0.mgmt", *arguments, text=text
        )

    def _appctl(self, *arguments: str) -> str:
        return self._run("ovs-appctl", "-t", f"{self._directory}/vswitchd.ctl", *arguments)

    def _control(self, name: str) -> str:
        return f"--unixctl={self._directory}/{name}.ctl"

    def _run(self, *command: str, text: str | None = None) -> str:
        done = subprocess.run(
            command, env=self._env, input=text, capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def _spawn(self, *command: str) -> None:
        with (self._directory / f"{command[0]}.log").open("wb") as log:
            self._daemons.append(subprocess.Popen(command, env=self._env, stdout=log, stderr=log))


@pytest.fixture(scope="module")
def switch() -> Iterator[OpenVswitch]:
    # Not pytest's directory: the path of a Unix socket has room for 107 characters.
    with tempfile.TemporaryDirectory(prefix="ovs") as directory:
        switch = OpenVswitch(Path(directory))
        try:
            switch.start()
            yield switch
        finally:
            switch.stop()


# --- our values in ovs-ofctl's language -----------------------------------------------------------
def mac_text(value: int) -> str:
    return value.to_bytes(6).hex(":")


#: ovs-ofctl writes these fields in another way than as hexadecimal numbers.
FIELD_TEXTS: dict[str, Callable[[int], str]] = {
    "in_port": str,
    **dict.fromkeys(("eth_src", "eth_dst", "arp_sha", "arp_tha", "ipv6_nd_sll", "ipv6_nd_tll"), mac_text),
    **dict.fromkeys(("ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa"), lambda value: str(IPv4Address(value))),
    **dict.fromkeys(("ipv6_src", "ipv6_dst", "ipv6_nd_target"), lambda value: str(IPv6Address(value))),
}


def match_text(wanted: Match) -> str:
    texts = []
    for name, value, mask in wanted:
        show = FIELD_TEXTS.get(name, hex)
        shown = name.removeprefix("ipv6_") if name.startswith("ipv6_nd_") else name
        texts.append(f"{shown}={show(value)}" + (f"/{show(mask)}" if mask is not None else ""))
    return ",".join(texts)


def action_text(action: Action) -> str:
    match action:
        case Output(port):
            return "CONTROLLER:65535" if port == CONTROLLER else f"output:{port}"
        case OutputGroup(group_id):
            return f"group:{group_id}"
        case SetField(name, value):
            return f"set_field:{mac_text(value) if name.startswith('eth_') else hex(value)}->{name}"
        case PushVlan():
            return "push_vlan:0x8100"
        case PopVlan():
            return "pop_vlan"
        case Resubmit(table):
            return f"resubmit(,{table})"
        case ClearInPort():
            return "load:0->NXM_OF_IN_PORT[]"
        case StackPush(source):
            return f"push:{bits_text(source)}"
        case StackPop(target):
            return f"pop:{bits_text(target)}"
        case RegLoad(target, value):
            return f"load:{value:#x}->{target.name}[{target.offset}..{target.offset + target.width - 1}]"
        case _:
            raise ValueError(action)


def rule_text(rule: Rule) -> str:
    actions = list(map(action_text, rule.apply))
    if rule.metadata is not None:
        actions.append(f"write_metadata:{rule.metadata[0]:#x}/{rule.metadata[1]:#x}")
    if rule.goto is not None:
        actions.append(f"goto_table:{rule.goto}")
    wanted = ",".join(filter(None, [f"table={rule.table},priority={rule.priority}", match_text(rule.match)]))
    return f"{wanted},actions={','.join(actions) or 'drop'}"


def group_text(group: Group) -> str:
    kind = {GroupType.FAST_FAILOVER: "ff"}.get(group.type, group.type.name.lower())
    buckets = []
    for bucket in group.buckets:
        watch = f"watch_port:{bucket.watch_port}," if bucket.watch_port is not None else ""
        buckets.append(f"bucket={watch}actions={','.join(map(action_text, bucket.actions)) or 'drop'}")
    return ",".join([f"group_id={group.group_id},type={kind}", *buckets])


def frame_text(frame: Mapping[str, int]) -> str:
    tag = ""
    if frame.get("vlan_vid", 0):
        tag = f",dl_vlan={frame['vlan_vid'] & 0xFFF},dl_vlan_pcp={frame.get('vlan_pcp', 0)}"
    addresses = f"dl_src={mac_text(frame['eth_src'])},dl_dst={mac_text(frame['eth_dst'])}"
    return f"in_port={frame['in_port']},{addresses},dl_type={frame['eth_type']:#x}{tag}"


# --- the datapath's language in our values ----------------------------------------------------------
def copies_of_trace(frame: Mapping[str, int], trace: str) -> list[Copy] | None:
    """Ports at which a frame leaves the switch, from the last line of a trace; None when Open vSwitch gave up."""
    if "Translation failed" in trace:
        return None
    found: list[Copy] = []
    (actions,) = re.findall(r"^Datapath actions: (.*)$", trace, re.MULTILINE)
    state = dict(frame)
    for action in re.findall(r"\w+(?:\((?:[^()]|\([^()]*\))*\))?", actions):
        name, _, arguments = action.partition("(")
        if name == "pop_vlan":
            state |= {"vlan_vid": 0, "vlan_pcp": 0}
        elif name == "push_vlan":
            values = dict(re.findall(r"(\w+)=(\d+)", arguments))
            state |= {"vlan_vid": VLAN_PRESENT | int(values["vid"]), "vlan_pcp": int(values["pcp"])}
        elif name == "set":
            for key, text in re.findall(r"(src|dst)=([0-9a-f:]{17})", arguments):
                state[f"eth_{key}"] = int(text.replace(":", ""), 16)
        elif name == "userspace":
            found.append(copy_of(CONTROLLER, state))
        elif name != "drop":
            found.append(copy_of(int(name.removeprefix("p")), state))
    return found


def copy_of(port: int, fields: Mapping[str, int]) -> Copy:
    vid = fields.get("vlan_vid", 0)
    return port, vid, fields.get("vlan_pcp", 0) if vid else 0, fields["eth_src"], fields["eth_dst"]


def simulated(table: FlowTable, frame: Mapping[str, int], live: frozenset[int] | None = None) -> list[Copy] | None:
    try:
        return [copy_of(port, fields) for port, fields in forward(table, frame, live)]
    except SimulationError as error:
        if "recursion too deep" in str(error):
            return None
        raise


def frame_on(port: int, vid: int | None = None, dst: int = 0x02_00_00_00_00_02) -> dict[str, int]:
    tag = {} if vid is None else {"vlan_vid": VLAN_PRESENT | vid, "vlan_pcp": 3}
    return {"in_port": port, "eth_src": 0x02_00_00_00_00_01, "eth_dst": dst, "eth_type": 0x88B5, **tag}


def table_of(*rules: Rule, groups: tuple[Group, ...] = ()) -> FlowTable:
    return FlowTable(rules={rule.key: rule for rule in rules}, groups={group.group_id: group for group in groups})


def rule(table: int, wanted: Match = (), *apply: Action, priority: int = 10, **instructions: Any) -> Rule:
    return Rule(table, priority, wanted, cookie=0, apply=apply, **instructions)


def bucket(*actions: Action, watch_port: int | None = None) -> Bucket:
    return Bucket(actions, watch_port)


BROADCAST = 0xFFFFFFFFFFFF


def to_member(number: int) -> tuple[Action, ...]:
    return SetField("metadata", number), Resubmit(4)


#: A small bridge that uses everything at once: admission by tag, metadata, flooding by resubmit, egress groups.
BRIDGE = table_of(
    rule(0, match(in_port=1, vlan_vid=0), PushVlan(), SetField("vlan_vid", VLAN_PRESENT | 7), goto=1),
    rule(0, match(vlan_vid=ANY_TAGGED), goto=1, priority=5),
    rule(0, match(eth_type=0x88CC), Output(CONTROLLER), priority=20),
    rule(1, match(in_port=1), metadata=(0x11, 0xFF), goto=2),
    rule(1, match(in_port=2), metadata=(0x22_00, 0xFF_00), goto=2),
    rule(2, match(eth_dst=(1 << 40, 1 << 40)), *to_member(2), *to_member(3), priority=20),
    rule(2, match(metadata=(0x11, 0xFF), eth_dst=2), SetField("metadata", 1), goto=4),
    rule(2, match(metadata=(0x22_00, 0xFF_00)), Resubmit(3), goto=4),
    rule(3, (), SetField("metadata", 2), SetField("eth_src", 9), goto=5),
    rule(4, match(metadata=1), OutputGroup(1)),
    rule(4, match(metadata=2), OutputGroup(2)),
    rule(4, match(metadata=3), OutputGroup(3)),
    rule(5, (), Output(4)),
    groups=(
        Group(1, GroupType.INDIRECT, (bucket(ClearInPort(), PopVlan(), Output(1)),)),
        Group(2, GroupType.INDIRECT, (bucket(PopVlan(), Output(2)),)),
        Group(3, GroupType.ALL, (bucket(SetField("eth_dst", 5), Output(3)), bucket(Output(4), PopVlan()))),
    ),
)


@pytest.mark.parametrize(
    "frame",
    [
        frame_on(1),
        frame_on(1, dst=BROADCAST),
        frame_on(1, vid=8, dst=BROADCAST),
        frame_on(1, vid=8, dst=2),
        frame_on(1, vid=8, dst=3),
        frame_on(2, vid=7),
        frame_on(2, vid=7, dst=BROADCAST),
        frame_on(3, vid=7),
        frame_on(4),
        frame_on(4) | {"eth_type": 0x88CC},
    ],
    ids=frame_text,
)
def test_a_bridge_with_everything(switch: OpenVswitch, frame: dict[str, int]) -> None:
    switch.install(BRIDGE)
    assert simulated(BRIDGE, frame) == copies_of_trace(frame, switch.trace(frame))


def test_the_bridge_with_everything_emits_something() -> None:
    assert [port for port, *_ in simulated(BRIDGE, frame_on(1, vid=8, dst=BROADCAST)) or []] == [2, 3, 4]
    assert [port for port, *_ in simulated(BRIDGE, frame_on(1, vid=8, dst=2)) or []] == [1]


def test_a_dead_port_moves_fast_failover_on(switch: OpenVswitch) -> None:
    buckets = tuple(bucket(Output(port), watch_port=port) for port in (2, 3))
    table = table_of(rule(0, (), OutputGroup(1)), groups=(Group(1, GroupType.FAST_FAILOVER, buckets),))
    switch.install(table)
    frame = frame_on(1)
    live = frozenset(PORTS)
    for dead, expected in ((None, [2]), (2, [3]), (3, [])):
        if dead is not None:
            switch.set_link(dead, up=False)
            live -= {dead}
        theirs = copies_of_trace(frame, switch.trace(frame))
        assert theirs is not None
        assert [port for port, *_ in theirs] == expected
        assert simulated(table, frame, live) == theirs
    for port in (2, 3):
        switch.set_link(port, up=True)


def counting(steps: int, table: int, last: Action) -> list[Rule]:
    """Rules that look up their own table ``steps`` times and then do ``last``."""
    again = [
        rule(table, match(metadata=step), SetField("metadata", step + 1), Resubmit(table)) for step in range(steps)
    ]
    return [*again, rule(table, match(metadata=steps), last)]


@pytest.mark.parametrize("last", [Output(2), Resubmit(9), OutputGroup(1)], ids=["output", "later table", "group"])
@pytest.mark.parametrize("steps", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1])
def test_both_give_up_at_the_same_depth(switch: OpenVswitch, steps: int, last: Action) -> None:
    table = table_of(
        rule(9, (), Output(3)),
        *counting(steps, 0, last),
        groups=(Group(1, GroupType.INDIRECT, (bucket(Output(4)),)),),
    )
    switch.install(table)
    theirs = copies_of_trace(frame_on(1), switch.trace(frame_on(1)))
    assert (theirs is None) is (steps > MAX_DEPTH or (steps == MAX_DEPTH and last != Output(2)))
    assert simulated(table, frame_on(1)) == theirs


def test_looking_up_later_tables_is_no_depth(switch: OpenVswitch) -> None:
    steps = [rule(table, (), Resubmit(table + 1)) for table in range(MAX_DEPTH + 20)]
    table = table_of(*steps, rule(MAX_DEPTH + 20, (), Output(2)))
    switch.install(table)
    theirs = copies_of_trace(frame_on(1), switch.trace(frame_on(1)))
    assert theirs
    assert simulated(table, frame_on(1)) == theirs


@pytest.mark.parametrize(("lookups", "too_many"), [(MAX_LOOKUPS, False), (MAX_LOOKUPS + 1, True)])
def test_both_give_up_after_as_many_lookups(switch: OpenVswitch, lookups: int, too_many: bool) -> None:
    pages, single = divmod(lookups - 1, 64)
    table = table_of(
        rule(0, (), *[Resubmit(1)] * pages, *[Resubmit(2)] * single, Resubmit(3)),
        rule(1, (), *[Resubmit(2)] * 63),
        rule(2, ()),
        rule(3, (), Output(2)),
    )
    switch.install(table)
    theirs = copies_of_trace(frame_on(1), switch.trace(frame_on(1)))
    assert (theirs is None) is too_many
    assert simulated(table, frame_on(1)) == theirs


# --- any rules ----------------------------------------------------------------------------------------
LAST_TABLE = 3
GROUPS = (1, 2, 3)


class Dice:
    """Random rules that Open vSwitch accepts and that never loop."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def table(self) -> FlowTable:
        rules = [self.rule(table, narrow) for table in range(LAST_TABLE + 1) for narrow in (False, True, True, True)]
        return table_of(*rules, groups=tuple(map(self.group, GROUPS)))

    def rule(self, table: int, narrow: bool) -> Rule:
        wanted: dict[str, int | tuple[int, int]] = {}
        if narrow:
            fields: dict[str, list[int | tuple[int, int]]] = {
                "vlan_vid": [0, ANY_TAGGED, VLAN_PRESENT | 1],
                "metadata": [0, 1, 2, (1, 1), (0, 2)],
                "in_port": [1, 2],
                "reg0": [0, 1, 2, (1, 1), (0, 2)],
            }
            wanted = {name: self._one_of(*fields[name]) for name in self._random.sample(list(fields), 2)}
        tag = wanted.get("vlan_vid")
        apply = [self.step(table) for _ in range(self._random.randint(1, 4))]
        if tag == 0 and self._flip():
            apply = [PushVlan(), SetField("vlan_vid", VLAN_PRESENT | 2), *apply]
        elif tag and self._flip():
            # Open vSwitch accepts these behind a match on the tag only.
            apply = [self._one_of(SetField("vlan_vid", VLAN_PRESENT | 3), SetField("vlan_pcp", 5), PopVlan()), *apply]
        metadata = (self._random.randint(0, 2), 3) if self._flip() else None
        goto = self._random.randint(table + 1, LAST_TABLE) if table < LAST_TABLE and self._flip() else None
        return Rule(table, self._random.randint(1, 9999) * narrow, match(**wanted), 0, tuple(apply), metadata, goto)

    def step(self, table: int) -> Action:
        if table == LAST_TABLE or self._flip():
            return self.plain_step()
        return self._one_of(Resubmit(self._random.randint(table + 1, LAST_TABLE)), OutputGroup(self._one_of(*GROUPS)))

    def plain_step(self) -> Action:
        return self._one_of(
            Output(self._one_of(*PORTS)),
            Output(self._one_of(*PORTS, CONTROLLER)),
            SetField("metadata", self._random.randint(0, 2)),
            SetField(self._one_of("eth_src", "eth_dst"), self._random.randint(1, 3)),
            ClearInPort(),
            SetField("reg0", self._random.randint(0, 2)),
            RegLoad(Bits(self._one_of("reg0", "metadata"), self._random.randint(0, 2), 1), self._random.randint(0, 1)),
        )

    def group(self, group_id: int) -> Group:
        kind = self._one_of(GroupType.ALL, GroupType.INDIRECT)
        buckets = self._random.randint(1, 3) if kind is GroupType.ALL else 1
        return Group(group_id, kind, tuple(bucket(*self.bucket_steps()) for _ in range(buckets)))

    def bucket_steps(self) -> list[Action]:
        more: Action = self._one_of(PopVlan(), Resubmit(LAST_TABLE), self.plain_step())
        steps = [more, *[self.plain_step() for _ in range(3)]]
        self._random.shuffle(steps)
        return steps

    def _one_of(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _flip(self) -> bool:
        return self._random.random() < 0.5


@pytest.mark.parametrize("seed", range(40))
def test_any_rules(switch: OpenVswitch, seed: int) -> None:
    table = Dice(seed).table()
    frames = [frame_on(port, vid) for port in (1, 2, 3) for vid in (None, 1)]
    switch.install(table)
    assert [simulated(table, frame) for frame in frames] == [
        copies_of_trace(frame, switch.trace(frame)) for frame in frames
    ]


def test_random_rules_emit_enough_to_compare() -> None:
    counts = [len(simulated(Dice(seed).table(), frame_on(1, vid)) or []) for seed in range(40) for vid in (None, 1)]
    assert sum(count > 2 for count in counts) > 20
