"""The picture of a fabric: everything is on it once, nothing covers anything else, and VSIs are where they are."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from ryu_apps.cli.topology import topology
from ryu_apps.evb.events.switch import PortChanged
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.picture import QUIET, Live, LiveError, Marker, VsiStage, read_live, render
from ryu_apps.picture.layout import Line, Rectangle, lay_out, links_of, tiers_of
from ryu_apps.topologies import multi_switch, two_switch
from tests.unit.vsi.test_hardware_appliances import hardware
from tests.worlds.bridge import HV1, HV2, HV3, S1, S2, Vm
from tests.worlds.rest import RestWorld

SVG = "{http://www.w3.org/2000/svg}"
FABRICS = {
    "two switches": two_switch.fabric(8),
    "two large ones": two_switch.fabric(128, proxies=1),
    "leaf and spine": multi_switch.fabric(4, 2, 32, links=2, proxies=1),
    "a tree": multi_switch.fabric(8, 1, 32),
    "the largest drawn often": multi_switch.fabric(16, 4, 256),
}
LEAF_SPINE = FABRICS["leaf and spine"]
FABRICS["in another order"] = Fabric(dict(reversed(LEAF_SPINE.switches.items())))
SPINE_1, SPINE_2 = 1001, 1002


@pytest.fixture(params=FABRICS)
def fabric(request: pytest.FixtureRequest) -> Fabric:
    return FABRICS[request.param]


def ring(size: int) -> Fabric:
    """Switches in a circle, a hypervisor at each."""

    def switch(number: int) -> Switch:
        after, before = number % size + 1, (number - 2) % size + 1
        ports = (
            Interface(1, f"hv{number}", Role.STATION, 100),
            Interface(61, f"s{after}", Role.TRUNK, peer=PortId(after, 62)),
            Interface(62, f"s{before}", Role.TRUNK, peer=PortId(before, 61)),
        )
        return Switch(number, f"s{number}", {port.port_no: port for port in ports})

    return Fabric({number: switch(number) for number in range(1, size + 1)})


def drawn(fabric: Fabric, live: Live = QUIET) -> ElementTree.Element:
    return ElementTree.fromstring(render("a fabric", fabric, live))


def about(root: ElementTree.Element, kind: str) -> list[str]:
    """Tooltips of the shapes of a class."""
    return [
        title.text or ""
        for group in root.iter(f"{SVG}g")
        if (title := group.find(f"{SVG}title")) is not None
        and any(kind in group_element.get("class", "").split() for group_element in group)
    ]


def words(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


# --- layout ---------------------------------------------------------------------------------------
def overlap(one: Rectangle, other: Rectangle) -> bool:
    return one.x < other.right and other.x < one.right and one.y < other.bottom and other.y < one.bottom


def test_everything_has_a_place_and_nothing_covers_anything_else(fabric: Fabric) -> None:
    layout = lay_out(fabric)
    assert set(layout.switches) == set(fabric.switches)
    assert set(layout.nodes) == {*fabric.ports(Role.STATION), *fabric.ports(Role.HOST)}
    boxes = [*layout.switches.values(), *layout.nodes.values()]
    assert not any(overlap(*pair) for pair in combinations(boxes, 2))
    assert all(box.x >= 0 and box.y >= 0 and box.right <= layout.width for box in boxes)
    assert max(box.bottom for box in boxes) < layout.height


def test_what_hangs_on_a_switch_is_below_it(fabric: Fabric) -> None:
    layout = lay_out(fabric)
    middles = {dpid: box.middle for dpid, box in layout.switches.items() if any(p.dpid == dpid for p in layout.nodes)}
    for port, box in layout.nodes.items():
        assert box.y > layout.switches[port.dpid].bottom
        nearest = min(middles, key=lambda dpid: abs(middles[dpid] - box.middle))
        assert nearest == port.dpid


def test_switches_without_nodes_are_in_tiers_above() -> None:
    assert tiers_of(LEAF_SPINE) == [[1, 2, 3, 4], [SPINE_1, SPINE_2]]
    layout = lay_out(LEAF_SPINE)
    assert len({layout.switches[leaf].y for leaf in (1, 2, 3, 4)}) == 1
    assert layout.switches[SPINE_1].bottom < layout.switches[1].y


def test_a_tier_may_be_above_another_one() -> None:
    """A tree of three: a root, two in the middle, a hypervisor below each of four."""

    def trunk(port_no: int, dpid: int, there: int) -> Interface:
        return Interface(port_no, f"s{dpid}", Role.TRUNK, peer=PortId(dpid, there))

    ports = {
        1: [trunk(1, 2, 9), trunk(2, 3, 9)],
        2: [trunk(9, 1, 1), trunk(1, 4, 9), trunk(2, 5, 9)],
        3: [trunk(9, 1, 2), trunk(1, 6, 9), trunk(2, 7, 9)],
        **{
            dpid: [trunk(9, 2 + (dpid - 4) // 2, 1 + dpid % 2), Interface(1, f"hv{dpid}", Role.STATION, 100)]
            for dpid in (4, 5, 6, 7)
        },
    }
    switches = {dpid: Switch(dpid, f"s{dpid}", {port.port_no: port for port in some}) for dpid, some in ports.items()}
    assert tiers_of(Fabric(switches)) == [[4, 5, 6, 7], [2, 3], [1]]


def test_a_switch_that_nothing_leads_to_is_drawn_too() -> None:
    lonely = Switch(9, "s9", {})
    layout = lay_out(Fabric({**two_switch.fabric(8).switches, 9: lonely}))
    assert 9 in layout.switches
    assert lay_out(Fabric({9: lonely})).switches.keys() == {9}


def test_the_picture_is_neither_a_tower_nor_a_ribbon() -> None:
    for fabric in (FABRICS["two large ones"], FABRICS["the largest drawn often"]):
        layout = lay_out(fabric)
        assert 1.0 < layout.width / layout.height < 3.0


# --- links ----------------------------------------------------------------------------------------
def ends(line: Line) -> frozenset[tuple[float, float]]:
    return frozenset((line.start, line.stop))


def test_every_link_is_a_line_of_its_own_between_its_switches(fabric: Fabric) -> None:
    layout = lay_out(fabric)
    assert len(layout.lines) == len(fabric.ports(Role.TRUNK)) // 2
    assert len({ends(line) for line in layout.lines}) == len(layout.lines)
    for line in layout.lines:
        for (x, y), end in zip((line.start, line.stop), line.link.ends, strict=True):
            box = layout.switches[end.dpid]
            assert box.x <= x <= box.right and box.y <= y <= box.bottom


def test_a_link_over_other_switches_of_its_tier_is_an_arc_inside_the_picture() -> None:
    layout = lay_out(ring(6))
    (arc,) = [line for line in layout.lines if line.bend]
    assert {end.dpid for end in arc.link.ends} == {1, 6}
    assert arc.start[1] - arc.bend / 2 > 46  # below the words at the top
    assert {arc.start[0], arc.stop[0]} == {layout.switches[dpid].middle for dpid in (1, 6)}


def test_links_leave_a_switch_in_the_order_of_where_they_lead_and_apart(fabric: Fabric) -> None:
    layout = lay_out(fabric)
    leaving: dict[tuple[int, float], list[tuple[float, float]]] = {}
    for line in layout.lines:
        here, there = (end.dpid for end in line.link.ends)
        if layout.switches[here].y != layout.switches[there].y:
            for (x, y), dpid, other in ((line.start, here, there), (line.stop, there, here)):
                leaving.setdefault((dpid, y), []).append((x, layout.switches[other].middle))
    for points in leaving.values():
        targets = [target for _, target in sorted(points)]
        assert targets == sorted(targets)
        places = sorted(x for x, _ in points)
        assert all(after - before >= 10 for before, after in pairwise(places))


def test_the_broadcast_tree_spans_the_fabric_and_takes_one_of_parallel_links(fabric: Fabric) -> None:
    tree = [line.link for line in lay_out(fabric).lines if line.link.in_tree]
    assert len(tree) == len(fabric.switches) - 1
    assert len({frozenset(end.dpid for end in link.ends) for link in tree}) == len(tree)


def test_the_second_of_parallel_links_carries_broadcasts_while_the_first_is_down() -> None:
    first, second = PortId(1, 61), PortId(1, 62)
    fabric = two_switch.fabric(8)
    for down, carrier in (((), first), ((first,), second), ((PortId(2, 61),), second), ((first, second), None)):
        carriers = [link.ends[0] for link in links_of(fabric, down) if link.in_tree]
        assert carriers == ([carrier] if carrier else [])


def test_broadcasts_go_around_a_spine_that_is_down() -> None:
    dead = [link.ends[0] for link in links_of(LEAF_SPINE) if link.ends[1].dpid == 1001]
    tree = [link.ends for link in links_of(LEAF_SPINE, dead) if link.in_tree]
    assert {there.dpid for _, there in tree} == {1002}
    assert len(tree) == 4


# --- the file -------------------------------------------------------------------------------------
def test_all_names_and_ports_are_there(fabric: Fabric) -> None:
    root = drawn(fabric)
    names = {interface.name for switch in fabric.switches.values() for interface in switch.interfaces.values()}
    assert names | {switch.name for switch in fabric.switches.values()} <= set(words(root))
    assert len(about(root, "station")) == len(fabric.ports(Role.STATION))
    kinds = Counter(one.appliance for port in fabric.ports(Role.HOST) if (one := fabric.interface(port)))
    assert len(about(root, "host")) == kinds[None]
    assert len(about(root, "appliance")) == kinds["tcp_proxy"]
    assert len(about(root, "tree")) == len(fabric.switches) - 1
    assert len(about(root, "link")) == len(fabric.ports(Role.TRUNK)) // 2 - len(fabric.switches) + 1


def test_a_link_says_which_ports_it_joins() -> None:
    assert "leaf1 port 1011 - spine1 port 11, broadcast tree" in about(drawn(LEAF_SPINE), "tree")


def test_the_summary_counts() -> None:
    assert "6 switches, 32 hypervisors, 9 end systems, 16 links" in words(drawn(LEAF_SPINE))


def test_names_of_operators_and_stations_are_escaped() -> None:
    nasty = '</svg><script>&"'
    interface = Interface(1, nasty, Role.STATION, 100)
    live = Live((Marker(PortId(1, 1), nasty, nasty, VsiStage.ACTIVE, "active", nasty),), absent={1: nasty})
    text = render(nasty, Fabric({1: Switch(1, nasty, {1: interface})}), live)
    assert "<script" not in text
    root = ElementTree.fromstring(text)
    assert root.find(f"{SVG}title").text == nasty  # type: ignore[union-attr]
    assert any(nasty in words for words in about(root, "station"))


def test_a_name_without_room_is_cut_and_whole_in_its_tooltip() -> None:
    name = "a-hypervisor-with-a-long-name"
    root = drawn(Fabric({1: Switch(1, "s1", {1: Interface(1, name, Role.STATION, 100)})}))
    assert name not in words(root)
    assert any(word.endswith("…") and name.startswith(word[:-1]) for word in words(root))
    assert about(root, "station") == [f"{name}, station, s1 port 1"]


# --- what goes on ---------------------------------------------------------------------------------
def marker(port: PortId, vsi: str, stage: VsiStage) -> Marker:
    return Marker(port, vsi, vsi, stage, stage.value)


def test_active_is_filled_and_staged_is_hollow() -> None:
    live = Live(
        (
            marker(PortId(1, 1), "vm1", VsiStage.ACTIVE),
            marker(PortId(1, 2), "vm2", VsiStage.STAGED),
            marker(PortId(2, 1), "vm3", VsiStage.UNDER_WAY),
        )
    )
    root = drawn(LEAF_SPINE, live)
    assert about(root, "active") == ["vm1, vm1, active"]
    assert about(root, "staged") == ["vm2, vm2, staged"]
    assert about(root, "under-way") == ["vm3, vm3, under way"]
    assert {"vm1", "vm2", "vm3"} <= set(words(root))
    assert any(line.endswith("links, 1 VSI active, 1 VSI staged, 1 VSI under way") for line in words(root))
    style = root.find(f"{SVG}style").text or ""  # type: ignore[union-attr]
    assert ".active{fill:#2b8a3e" in style and ".staged{fill:#fff" in style


def test_a_vsi_is_inside_the_box_of_its_port() -> None:
    port = PortId(3, 5)
    box = lay_out(LEAF_SPINE).nodes[port]
    root = drawn(LEAF_SPINE, Live((marker(port, "vm1", VsiStage.STAGED),)))
    (circle,) = [element for element in root.iter(f"{SVG}circle") if element.get("cy")]
    assert box.x < float(circle.get("cx", 0)) < box.right
    assert box.y < float(circle.get("cy", 0)) < box.bottom


def test_a_crowd_is_counted() -> None:
    live = Live(tuple(marker(PortId(1, 1), f"vm{number}", VsiStage.ACTIVE) for number in range(9)))
    root = drawn(LEAF_SPINE, live)
    assert len(about(root, "active")) == 5
    assert "+4" in words(root)


def test_a_vsi_that_moves_is_joined_to_where_it_is_staged() -> None:
    here, there = marker(PortId(1, 1), "vm1", VsiStage.ACTIVE), marker(PortId(4, 2), "vm1", VsiStage.STAGED)
    arcs = [
        element
        for element in drawn(LEAF_SPINE, Live((here, there))).iter(f"{SVG}path")
        if element.get("class") == "move"
    ]
    assert len(arcs) == 2  # and the one of the legend
    alone = [
        element for element in drawn(LEAF_SPINE, Live((here,))).iter(f"{SVG}path") if element.get("class") == "move"
    ]
    assert len(alone) == 1


def test_what_is_down_is_said_and_crossed_out() -> None:
    live = Live(down=frozenset({PortId(1, 1011), PortId(2, 3)}), absent={SPINE_2: "disconnected"})
    root = drawn(LEAF_SPINE, live)
    assert set(about(root, "down")) == {
        "leaf1 port 1011 - spine1 port 11, down",
        "hv11, station, leaf2 port 3, down",
        "spine2, datapath 00000000000003ea, disconnected",
    }
    crosses = [element for element in root.iter(f"{SVG}path") if element.get("class") == "cross"]
    assert len(crosses) == 2  # and the one of the legend
    assert any(line.endswith("2 ports down") for line in words(root))


def test_vsis_at_ports_of_another_fabric_are_left_out() -> None:
    root = drawn(LEAF_SPINE, Live((marker(PortId(77, 1), "vm1", VsiStage.ACTIVE),), frozenset({PortId(77, 1)})))
    assert about(root, "active") == about(root, "down") == []
    assert any(line.endswith("16 links") for line in words(root))


# --- what a controller says ------------------------------------------------------------------------
@pytest.fixture
def world() -> RestWorld:
    """vm 7 is active at hv1 and staged at hv3, vm 8 only announced at hv2; hv2's link is down, s2 came up later."""
    world = RestWorld()
    world.connect()
    world.ask(HV1, Vm(7), VdpMode.ASSOCIATE)
    world.ask(HV3, Vm(7), VdpMode.PREASSOCIATE_RR)
    world.ask(HV2, Vm(8), VdpMode.PREASSOCIATE)
    return world


def test_the_answers_of_a_controller_are_understood(world: RestWorld) -> None:
    live = read_live(world.get("/evb/status"), world.get("/evb/vsis"))
    assert {(marker.port, marker.label, marker.stage, marker.phase) for marker in live.markers} == {
        (HV1, Vm(7).text[:8], VsiStage.ACTIVE, "active"),
        (HV3, Vm(7).text[:8], VsiStage.STAGED, "staged"),
        (HV2, Vm(8).text[:8], VsiStage.UNDER_WAY, "preassociated"),
    }
    assert (live.down, live.absent) == (frozenset(), {})


def test_links_that_are_down_and_switches_that_are_away_are_understood(world: RestWorld) -> None:
    world.feed(PortChanged(HV1, up=False))
    world.disconnect(S2)
    live = read_live(world.get("/evb/status"), world.get("/evb/vsis"))
    assert HV1 in live.down and HV2 not in live.down
    assert live.absent == {S2: "disconnected"}


def test_a_link_of_which_nothing_is_known_is_not_down() -> None:
    world = RestWorld()
    status = world.get("/evb/status")
    assert read_live(status, []).down == frozenset()
    assert read_live(status, []).absent == dict.fromkeys((S1, S2), "disconnected")


def test_a_vsi_of_which_nothing_is_held_is_not_shown(world: RestWorld) -> None:
    vsis = world.get("/evb/vsis")
    for vsi in vsis:  # type: ignore[attr-defined]
        for attachment in vsi["attachments"]:
            attachment["phase"] = "none"
    assert read_live(world.get("/evb/status"), vsis).markers == ()


@pytest.mark.parametrize("status", [[], {}, {"switches": [{}]}, {"switches": [{"dpid": "x"}]}, None])
def test_other_answers_are_refused(status: object) -> None:
    with pytest.raises(LiveError, match="not the answers of a controller"):
        read_live(status, [])
    with pytest.raises(LiveError):
        read_live({"switches": []}, [{"vsi": "x"}])


# --- the command ----------------------------------------------------------------------------------
@contextmanager
def served(answers: dict[str, object]) -> Iterator[str]:
    """A web server for some JSON; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.requestline.split()[1]  # self.path has double slashes made single
            body = json.dumps(answers.get(path)).encode()
            self.send_response(200 if path in answers else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Silence."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def command(*arguments: str) -> Result:
    return CliRunner().invoke(topology, list(arguments))


def test_the_command_draws_and_writes_no_configuration_unless_asked(tmp_path: Path) -> None:
    picture, config = tmp_path / "fabric.svg", tmp_path / "evbridge.yaml"
    result = command("multi_switch", "--set", "leaves=2", "--set", "n=4", "--svg", str(picture))
    assert (result.exit_code, result.output) == (0, "")
    assert "multi_switch leaves=2 n=4" in words(ElementTree.parse(picture).getroot())
    result = command("two_switch", "--svg", str(picture), "-o", str(config))
    assert (result.exit_code, result.output) == (0, "")
    assert "dps:" in config.read_text(encoding="utf-8")


def test_the_command_asks_a_controller(world: RestWorld, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("from tests.worlds.bridge import two_switches as fabric\n", encoding="utf-8")
    picture = tmp_path / "fabric.svg"
    with served({path: world.get(path) for path in ("/evb/status", "/evb/vsis")}) as url:
        result = command(str(mine), "--svg", str(picture), "--rest", f"{url}/")
    assert (result.exit_code, result.output) == (0, "")
    root = ElementTree.parse(picture).getroot()
    assert len(about(root, "active")) == len(about(root, "staged")) == len(about(root, "under-way")) == 1


def test_vsis_at_ports_that_the_topology_does_not_have_are_told(world: RestWorld, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("from ryu_apps.evb.topology.fabric import Fabric as fabric\n", encoding="utf-8")
    with served({path: world.get(path) for path in ("/evb/status", "/evb/vsis")}) as url:
        result = command(str(mine), "--svg", str(tmp_path / "x.svg"), "--rest", url)
    assert result.exit_code == 0
    assert "VSIs at ports that this topology does not have: 3" in result.output


@pytest.mark.parametrize("answers", [{}, {"/evb/status": {}, "/evb/vsis": []}])
def test_a_controller_that_is_none_is_an_error_in_one_line(answers: dict[str, object], tmp_path: Path) -> None:
    picture = tmp_path / "x.svg"
    with served(answers) as url:
        result = command("two_switch", "--svg", str(picture), "--rest", url)
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {url}") and result.output.count("\n") == 1
    assert not picture.exists()


def test_nobody_there_is_an_error_in_one_line(tmp_path: Path) -> None:
    result = command("two_switch", "--svg", str(tmp_path / "x.svg"), "--rest", "http://127.0.0.1:9")
    assert result.exit_code == 1
    # Green sockets, where a test of this process has patched the socket module, name the error ECONNREFUSED.
    assert "refused" in result.output.casefold()


def test_a_controller_is_asked_for_a_picture_only() -> None:
    result = command("two_switch", "--rest", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "--rest is of use with --svg alone" in result.output


def test_hardware_appliances_at_host_ports_are_drawn_as_such() -> None:
    fabric = hardware()
    titles = about(drawn(fabric), "appliance")
    assert sorted(title.split(", ")[:2] for title in titles) == [
        ["balancer", "fw"],
        ["gateway", "routers"],
        ["inner", "fw"],
        ["outer", "fw"],
    ]
