"""The manual and the program agree: commands, configuration keys, resources and pages that are named exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from ryu_apps.cli.lab import lab
from ryu_apps.cli.main import SUBCOMMANDS, main
from ryu_apps.cli.matrix import matrix
from ryu_apps.cli.replay import replay
from ryu_apps.cli.sweep import sweep
from ryu_apps.cli.vcm import vcm
from ryu_apps.evb.alarm_table import TABLE as ALARMS
from ryu_apps.evb.config import load_config, schema
from ryu_apps.evb.config import service_sections as services
from ryu_apps.evb.config import switch_sections as ports
from ryu_apps.evb.event_catalogue.catalogue import CATALOGUE, documented_rows
from ryu_apps.evb.policy import schema as policy_schema
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.set_section import SetSection
from ryu_apps.evb.services.appliance.schema import ApplianceSection, TrafficEntry
from ryu_apps.evb.services.bandwidth.schema import BandwidthSection, RateSection
from ryu_apps.evb.services.body import SECTIONS, SERVICES
from ryu_apps.evb.services.load_balancer.schema import BalancerSection
from ryu_apps.evb.services.mirror.schema import MirrorSection
from ryu_apps.evb.services.multicast.schema import MulticastSection
from ryu_apps.evb.services.statistics.schema import StatisticsSection
from ryu_apps.ovf import instances
from ryu_apps.ovf.filters import read_filter_list
from ryu_apps.ovf.markup import read_markup
from ryu_apps.ovf.names import PREFIXES
from ryu_apps.rest.resources import RESOURCES
from ryu_apps.testbed.lab.verbs import VERBS
from ryu_apps.testbed.lab.worksheets import WORKSHEETS
from ryu_apps.testbed.measurement.figures import Figures
from ryu_apps.testbed.replay import schema as scenario
from ryu_apps.testbed.replay.packets import Packet
from ryu_apps.testbed.sweep.parameters import SHORT_NAMES
from ryu_apps.testbed.sweep.record import columns
from ryu_apps.vcm import schema as inventory_schema
from ryu_apps.vcm.move_events import MoveStep
from ryu_apps.vcm.plans import GoalKind
from ryu_apps.vcm.resources import PATHS

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("**/*.rst"))
PAGES = [
    ROOT / "README.rst",
    ROOT / "CONTRIBUTING.rst",
    ROOT / "CHANGELOG.rst",
    *(page for page in DOCS if "_build" not in page.parts),
]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def table_keys(page: str) -> set[str]:
    """The literals in the first column of all tables of a page."""
    parts = re.split(r"^=+(?: +=+)+\n", page, flags=re.MULTILINE)
    rows = "".join(parts[2::3])
    cells = re.findall(r"^(``.*?)(?:  |$)", rows, re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"``([^`]+)``", cell)}


def yaml_blocks(page: str) -> list[str]:
    blocks = re.findall(r"^\.\. code-block:: yaml\n\n((?:(?: {4}.*)?\n)+)", page, re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in blocks]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_subcommand_that_is_mentioned_exists(page: Path) -> None:
    mentioned = re.findall(r"(?:^ +|``|; |exec )evbridge (\w+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(mentioned) - set(SUBCOMMANDS) == set()


def test_every_subcommand_is_mentioned() -> None:
    everything = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in SUBCOMMANDS if f"evbridge {name}" not in everything] == []


def leaves(command: click.Command, *names: str) -> Iterator[tuple[str, click.Command]]:
    """All commands that have no subcommands, with their names."""
    if not isinstance(command, click.Group):
        yield " ".join(names), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        part = command.get_command(context, name)
        assert part is not None
        yield from leaves(part, *names, name)


def test_every_option_is_explained() -> None:
    manual = "".join(page.read_text(encoding="utf-8") for page in PAGES if page.name != "CHANGELOG.rst")
    named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", manual))
    assert [
        f"{name} {option}"
        for name, command in leaves(main)
        for option in sorted(options_of(command) - named)
        if option.startswith("--")
    ] == []


@pytest.mark.parametrize(("name", "page"), [("demo", "demo"), ("explain", "explain"), ("topology", "fabrics")])
def test_a_table_has_the_options_of_the_command(name: str, page: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    options = {key.split()[0] for key in table_keys(text(f"docs/{page}.rst")) if key.startswith("-")}
    assert options == options_of(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_and_file_that_is_mentioned_exists(page: Path) -> None:
    written = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:``|^ +)make (?:PYTHON=\S+ )?([\w-]+)", written, re.MULTILINE))
    assert targets - set(re.findall(r"^([\w-]+):", text("Makefile"), re.MULTILINE)) == set()
    folders = "ryu_apps|mininet_tests|topologies|policies|tests|docs|contrib|tools|bench"
    files = re.findall(rf"``((?:{folders})/[\w/.-]*)``", written)
    assert [name for name in files if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_parts_of_files_that_are_included_are_there(page: Path) -> None:
    """Sphinx includes nothing at all if the line with which a part begins or ends is not found."""
    for file, options in re.findall(
        r"^\.\. literalinclude:: (\S+)\n((?: {3}:.*\n)*)", page.read_text(encoding="utf-8"), re.MULTILINE
    ):
        lines = (page.parent / file).read_text(encoding="utf-8").splitlines()
        for wanted in re.findall(r"^ {3}:(?:start|end)-(?:at|after|before): (.*)$", options, re.MULTILINE):
            assert any(wanted in line for line in lines), f"{wanted} is not in {file}"


def test_the_readme_names_the_debian_packages_that_are_installed() -> None:
    named = text("README.rst").partition("**Both install Debian packages**")[2].partition("  Python packages")[0]
    (interpreter,) = re.findall(r"^PYTHON_DEBS = (\S+) .*?,(python3 python3-venv)\)", text("Makefile"), re.MULTILINE)
    (network,) = re.findall(r"^NETWORK_DEBS = ((?:.*\\\n)*.*)", text("Makefile"), re.MULTILINE)
    (package,) = re.findall(r"^DEB_DEBS = (.*)", text("Makefile"), re.MULTILINE)
    installed = " ".join((*interpreter, network.replace("\\", ""), package)).split()
    assert re.findall(r"``([^`]+)``", named) == installed


def test_the_readme_has_the_services_in_the_order_in_which_a_frame_meets_them() -> None:
    section = text("README.rst").partition("\nWhat follows a VM\n")[2].partition("\nOn your own")[0]
    assert re.findall(r"^(\w+)  +\w", section, re.MULTILINE)[1:] == [service.name for service in SERVICES]


def model_keys(*models: type[BaseModel]) -> set[str]:
    return {name for model in models for name in model.model_fields}


def test_the_configuration_page_has_the_keys_of_the_schema() -> None:
    models = (
        *(schema.ConfigFile, schema.BridgeMulticastSection, schema.RetentionValues),
        *(ports.DatapathSection, ports.StationSection, ports.LocalStationSection, ports.VsiPortSection),
        *(ports.HostSection, ports.PodPortSection, ports.TrunkSection, ports.MirrorPortSection, ports.TimerValues),
        *(ports.VswitchSection, services.LoadBalancerSection, services.BackendSection, services.ManagersSection),
        *(services.HttpManagerSection, services.RestSection, services.StoreSection, services.ClusterSection),
        *(services.PodSection, services.PeerSection, services.ApplianceSection, services.InstanceSection),
        services.ProbingSection,
    )
    shown = {key for key in table_keys(text("docs/configuration.rst")) if re.fullmatch("[a-z_]+", key)}
    assert shown == model_keys(*models)


def test_the_scenario_page_has_the_keys_of_the_schema() -> None:
    parts = {
        "": scenario.ScenarioFile,
        "cluster.": scenario.ClusterSpec,
        "cluster.hypervisors.NAME.": scenario.HypervisorSpec,
        "cluster.balancers.NAME.": scenario.BalancerSpec,
        "cluster.links.NAME.": scenario.LinkSpec,
        "vms.NAME.": scenario.VmSpec,
        "vms.NAME.firewall.": scenario.FirewallSpec,
        "flows.NAME.": scenario.FlowSpec,
        "migrations[].": scenario.MigrationSpec,
        "migrations[].expect.": scenario.Expectation,
    }
    nested = {"cluster", "cluster.hypervisors", "cluster.balancers", "vms", "vms.NAME.firewall"}
    nested |= {"cluster.links", "flows", "migrations", "migrations[].expect"}
    keys = {prefix + name for prefix, model in parts.items() for name in model.model_fields} - nested
    shown = table_keys(text("docs/replay.rst").partition("The report\n")[0])
    assert {key for key in shown if "." in key or key in keys} - keys == {
        f"{path.stem}.yaml" for path in (ROOT / "mininet_tests/scenarios").iterdir()
    }
    assert keys - shown == set()


def test_the_inventory_page_has_the_keys_of_the_schema() -> None:
    parts = {
        "": inventory_schema.InventoryFile,
        "switches.NAME.": inventory_schema.SwitchSection,
        "nodes.NAME.": inventory_schema.NodeSection,
        "groups.NAME.": inventory_schema.GroupSection,
        "appliances.NAME.": inventory_schema.ApplianceSection,
        "datastores.NAME.": inventory_schema.DatastoreSection,
        "vms.NAME.": inventory_schema.VmSection,
        "vms.NAME.traffic.": inventory_schema.Traffic,
        "nms.": inventory_schema.NmsSection,
        "cluster.": inventory_schema.ClusterSection,
    }
    nested = {"switches", "nodes", "groups", "appliances", "datastores", "vms", "vms.NAME.traffic", "nms", "cluster"}
    keys = {prefix + name for prefix, model in parts.items() for name in model.model_fields} - nested
    assert table_keys(text("docs/vcm.rst").partition("Inventories\n---")[2].partition("\nPlacement\n")[0]) == keys


def test_the_goals_and_options_of_the_cluster_manager_are_explained() -> None:
    page = text("docs/vcm.rst")
    goals = {key.split()[0] for key in table_keys(page.partition("\nInventories\n")[0])}
    assert goals == {kind.value for kind in GoalKind}
    running, _, serving = page.partition("\nRunning it\n")[2].partition("\nOther hypervisors\n")
    assert table_keys(running) == options_of(vcm.commands["run"])
    resources = {f"{method} /{path}" for path, methods in PATHS for method in methods}
    shown = {re.sub(r"{\w+}", "*", key) for key in table_keys(serving)}
    assert shown == resources | options_of(vcm.commands["serve"])
    assert all(f"``{step.value}``" in serving for step in MoveStep)


def options_of(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts if option[0] == "-"}


def test_the_figures_of_the_report_are_explained() -> None:
    known = {"vm", "ladder", "source", "destination", "outcome", "reason", "error"}
    shown = table_keys(text("docs/replay.rst").partition("The report\n")[2].partition("\nTraces\n")[0])
    computed = {"lost"}
    assert shown == set(Figures.__dataclass_fields__) - known | computed


def test_the_options_of_a_replay_are_explained() -> None:
    page = text("docs/replay.rst")
    traces = page.partition("\nTraces\n")[2].partition("\nThe founding")[0]
    shown = {key.split()[0] for key in table_keys(page.partition("\nScenarios\n")[0]) | table_keys(traces)}
    assert shown == {option for parameter in replay.params for option in parameter.opts if option[0] == "-"}


def test_the_options_of_the_matrix_are_explained() -> None:
    page = text("docs/replay.rst").partition("\nThe founding paper's tables")[2]
    assert table_keys(page) == options_of(matrix)


def test_the_options_and_verbs_of_the_lab_are_explained() -> None:
    page, _, verbs = text("docs/lab.rst").partition("\nThe verbs\n")
    assert table_keys(page) == options_of(lab)
    shown = {key.split()[0] for key in table_keys(verbs.partition("\nStep mode\n")[0])}
    assert shown == set(VERBS)
    assert all(f"``{option}``" in verbs for option in options_of(lab.commands["check"]))


def test_every_worksheet_has_a_page_and_can_be_checked() -> None:
    number_of_check = lab.commands["check"].params[0].type
    assert isinstance(number_of_check, click.Choice) and list(number_of_check.choices) == list(WORKSHEETS)
    for number in WORKSHEETS:
        assert f".. worksheet:: {number}\n" in text(f"docs/lab{number}.rst")


def test_the_options_and_the_short_names_of_a_sweep_are_explained() -> None:
    options, _, rest = text("docs/sweep.rst").partition("\nParameters\n")
    assert {key.split()[0] for key in table_keys(options)} == options_of(sweep)
    names = rest.partition("\nThe order of the runs\n")[0]
    assert table_keys(names) == set(SHORT_NAMES)
    assert all(f"``{path}``" in names for path in SHORT_NAMES.values())


def test_the_columns_of_a_sweep_and_of_a_packet_log_are_explained() -> None:
    named = set(re.findall(r"``(\w+)``", text("docs/sweep.rst").partition("\nColumns of")[2]))
    report = text("docs/replay.rst").partition("The report\n")[2].partition("\nLadders\n")[0]
    assert set(columns(())) - named - table_keys(report) == set()
    log = report.partition("\nThe packet log\n")[2]
    assert set(Packet._fields) - set(re.findall(r"``(\w+)``", log)) == set()


def test_the_policy_page_has_the_keys_of_the_schema() -> None:
    page = text("docs/policies.rst")
    nested = {
        "vsi_type.": policy_schema.IdentitySection,
        "anti_spoofing.": policy_schema.AntiSpoofingSwitches,
    }
    keys = model_keys(policy_schema.PolicyFile) - {"vsi_type", "anti_spoofing"}
    keys |= {prefix + name for prefix, model in nested.items() for name in model.model_fields}
    keyed = page.partition("The Ethernet source address")[0]
    assert table_keys(keyed) - {section.name for section in SECTIONS} == keys


def test_the_policy_page_has_the_keys_of_a_network() -> None:
    section = text("docs/policies.rst").partition("\nNetwork\n---")[2].partition("\n---")[0]
    assert table_keys(section) == model_keys(policy_schema.NetworkSection)


def test_the_policy_page_has_the_keys_of_sets() -> None:
    section = text("docs/policies.rst").partition("\nSets of addresses\n---")[2].partition("\n---")[0]
    assert table_keys(section) == {"labels"} | {f"sets.NAME.{name}" for name in SetSection.model_fields}


def test_the_policy_page_has_the_keys_of_multicast() -> None:
    section = text("docs/policies.rst").partition("\nMulticast\n---")[2].partition("\n---")[0]
    assert table_keys(section) == model_keys(MulticastSection)


def test_the_policy_page_has_the_keys_of_statistics() -> None:
    section = text("docs/policies.rst").partition("\nStatistics\n---")[2].partition("\n---")[0]
    assert table_keys(section) == model_keys(StatisticsSection)


def test_the_policy_page_has_the_keys_of_a_mirror() -> None:
    section = text("docs/policies.rst").partition("\nMirror\n---")[2].partition("\n---")[0]
    assert table_keys(section) == model_keys(MirrorSection)


def test_the_policy_page_has_the_keys_of_an_appliance() -> None:
    section = text("docs/policies.rst").partition("\nAppliance\n---")[2].partition("\n---")[0]
    assert table_keys(section) == model_keys(ApplianceSection) | model_keys(TrafficEntry)


def test_the_policy_page_has_the_keys_of_bandwidth() -> None:
    section = text("docs/policies.rst").partition("\nBandwidth\n---")[2].partition("\n---")[0]
    assert table_keys(section) == model_keys(BandwidthSection) | model_keys(RateSection)


def test_the_policy_page_has_the_keys_of_load_balancing() -> None:
    section = text("docs/policies.rst").partition("\nLoad balancer\n---")[2].partition("\n---")[0]
    assert table_keys(section) == model_keys(BalancerSection)


def test_the_ovf_page_has_the_keys_of_instances() -> None:
    parts = {
        "": instances.InstancesFile,
        "networks.NAME.": instances.NetworkEntry,
        "vsis[].": instances.VsiEntry,
    }
    keys = {prefix + name for prefix, model in parts.items() for name in model.model_fields} - {"networks", "vsis"}
    section = text("docs/ovf.rst").partition("\nFiles of instances\n---")[2].partition("\n---")[0]
    assert table_keys(section) == keys


def test_examples_of_instances_are_accepted() -> None:
    (example,) = yaml_blocks(text("docs/ovf.rst"))
    assert instances.load_instances("docs/ovf.rst", example)[1] == []


def test_the_example_of_a_filter_is_accepted() -> None:
    example = text("docs/ovf.rst").partition(".. code-block:: xml\n")[2].partition("\n\n*")[0]
    namespaces = "".join(f" xmlns:{prefix}='{namespace}'" for prefix, namespace in PREFIXES.items())
    root, _ = read_markup("docs/ovf.rst", example.strip().replace("CIM_FilterList>", f"CIM_FilterList{namespaces}>", 1))
    assert root is not None
    ((rule,), found) = read_filter_list(root)
    assert (rule.direction, found) == ("to_vm", [])


def test_examples_of_configurations_are_accepted() -> None:
    for name in ("docs/configuration.rst", "README.rst"):
        examples = [block for block in yaml_blocks(text(name)) if "dps:" in block]
        assert examples, name
        for example in examples:
            assert load_config(name, example)[1] == []


def test_examples_of_policies_are_accepted() -> None:
    examples = [block for block in yaml_blocks(text("docs/policies.rst")) if "vsi_type:" in block]
    assert examples
    for example in examples:
        policies, found = load_policies([("docs/policies.rst", example)], SECTIONS)
        assert policies is not None and found == []


def test_the_rest_page_has_the_resources_and_no_others() -> None:
    def shape(resource: str) -> str:
        return re.sub(r"\{\w+\}", "{}", resource)

    shown = re.findall(r"^``((?:GET|POST|PUT|DELETE) /[^`\s]*)``", text("docs/rest.rst"), re.MULTILINE)
    assert set(map(shape, shown)) == {shape(f"{resource.method} {resource.path}") for resource in RESOURCES}


def test_resources_that_are_mentioned_exist() -> None:
    for page in PAGES:
        for path in re.findall(r"(?<!\w)(/evb/[a-z_]+)\b", page.read_text(encoding="utf-8")):
            assert any(resource.path.startswith(path) for resource in RESOURCES), f"{page.name}: {path}"


def test_the_architecture_page_names_every_part_and_no_other() -> None:
    def parts(folder: Path) -> set[str]:
        packages = {path.parent.name for path in folder.glob("*/__init__.py") if not path.parent.is_symlink()}
        return packages | {path.stem for path in folder.glob("*.py") if path.stem != "__init__"}

    page = text("docs/architecture.rst").partition("\nThe parts\n---")[2].partition("\nPermitted imports\n")[0]
    core, product = ("".join(page.split("\n=====")[rows]) for rows in (2, 5))
    named = [set(re.findall(r"^``(\w+)``  ", table, re.MULTILINE)) for table in (core, product)]
    topologies = {"topologies"}  # a symbolic link to the folder that `mn --custom` needs
    assert named == [parts(ROOT / "ryu_apps/evb"), parts(ROOT / "ryu_apps") | topologies]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_functions_that_are_mentioned_with_their_file_are_there(page: Path) -> None:
    mentioned = re.findall(r"``(\w+)``(?: and ``(\w+)``)?\s+in\s+``([\w/]+\.py)``", page.read_text(encoding="utf-8"))
    for *names, file in mentioned:
        for name in filter(None, names):
            defined = re.search(rf"^ *(?:def|class) {name}\b|^{name}\b.* = ", text(file), re.MULTILINE)
            assert defined is not None, f"{page.name}: {name} in {file}"


def test_decisions_are_numbered_once() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs/decisions").glob("0*.rst")]
    assert sorted(numbers) == sorted(set(numbers))
    for path in (ROOT / "docs/decisions").glob("0*.rst"):
        assert path.read_text(encoding="utf-8").startswith(f"{int(path.name[:4])}. "), path.name


#: First parts of the kinds of events.
SUBJECTS = {kind.partition(".")[0] for kind in CATALOGUE}


def kinds_mentioned(page: str) -> set[str]:
    """Literals that have the form of a kind of events, and are no names of files."""
    literals = re.findall(r"``([a-z]+)\.([a-z_]+)``", page)
    return {
        f"{subject}.{rest}" for subject, rest in literals if subject in SUBJECTS and rest not in {"py", "rst", "sqlite"}
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_event_that_is_mentioned_is_in_the_catalogue(page: Path) -> None:
    if "decisions" not in page.parts:
        assert kinds_mentioned(page.read_text(encoding="utf-8")) - set(CATALOGUE) == set()


def test_the_table_of_events_is_made_from_the_catalogue() -> None:
    assert re.search(r"^\.\. events::$", text("docs/rest.rst"), re.MULTILINE)
    assert [row.kind for row in documented_rows()] == sorted(CATALOGUE)
    contested = next(row for row in documented_rows() if row.kind == "vsi.contested")
    assert (contested.level, contested.detail) == ("info", "owner (text), claimant (dpid:port)")


def test_every_alarm_has_a_row_in_the_table_of_alarms() -> None:
    """Each with the events that clear it."""
    section = text("docs/rest.rst").partition("\nAlarms\n")[2].partition("\nSwitches\n")[0]
    rows = re.findall(r"^``([a-z_.]+)``  +(critical|warning)(.*(?:\n {9,}.*)*)", section, re.MULTILINE)
    written = {
        kind: (severity, set(re.findall(r"``([a-z]+\.[a-z_]+)``", rest)) - {"ecp.failed"})
        for kind, severity, rest in rows
    }
    assert written == {row.kind: (row.severity.value, {made.row.kind for made in row.cleared_by}) for row in ALARMS}
