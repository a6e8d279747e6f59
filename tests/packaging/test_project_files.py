"""Pages and files beside the code: contributing, citation, forms for issues, licence."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.rst").read_text()


def settings(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / name)
    return parser


def test_the_pure_packages_are_those_of_the_contract() -> None:
    contract = settings(".importlinter")["importlinter:contract:pure"]["source_modules"].split()
    (line,) = re.findall(r"^\* (.*) are pure:", CONTRIBUTING, re.MULTILINE)
    named = [name.removeprefix("ryu_apps/") for name in re.findall(r"``([^`]+)``", line)]
    assert [f"ryu_apps.{name}" for name in named] == contract


def test_every_folder_of_tests_is_explained() -> None:
    folders = {f"tests/{path.name}" for path in (ROOT / "tests").iterdir() if list(path.rglob("*.py"))}
    assert set(re.findall(r"^``(\w+(?:/\w+)?)``  ", CONTRIBUTING, re.MULTILINE)) == {*folders, "mininet_tests"}


def test_a_change_passes_what_is_run_for_it() -> None:
    run = re.findall(r"^make (\S+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    (line,) = re.findall(r"^\* (.* pass); ``\.ci/run`` is all five\.", CONTRIBUTING, re.MULTILINE)
    assert re.findall(r"``make (\S+)``", line) == run


def test_licence_and_name_are_the_same_everywhere() -> None:
    metadata = settings("setup.cfg")["metadata"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation.keys() >= {"cff-version", "message", "title", "authors"}
    assert citation["license"] == metadata["license_expression"] == "Apache-2.0"
    assert citation["title"].partition(":")[0] == metadata["name"]
    assert (ROOT / metadata["license_files"]).read_text().split()[:2] == ["Apache", "License"]


@pytest.mark.parametrize("form", ["fault", "wish"])
def test_a_form_for_issues_asks_for_what_it_needs(form: str) -> None:
    written = yaml.safe_load((ROOT / f".github/ISSUE_TEMPLATE/{form}.yml").read_text())
    assert written.keys() >= {"name", "description", "body"}
    asked = [field for field in written["body"] if field["type"] != "markdown"]
    assert asked and all(field["attributes"]["label"] for field in asked)
    assert any(field.get("validations", {}).get("required") for field in asked)


@pytest.mark.parametrize("page", ["CONTRIBUTING.rst", "SECURITY.md", "CODE_OF_CONDUCT.md", "README.rst"])
def test_what_a_page_refers_to_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    named = re.findall(r"(?<![\w/.-])((?:docs|tests|ryu_apps|contrib|policies)/[\w/.-]*\w|[A-Z_]+\.(?:md|rst))", text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
