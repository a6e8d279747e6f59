"""Types in use keep their meaning; a new meaning is a new version."""

from __future__ import annotations

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.change import forbidden_changes
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet

WEB, DB = VsiTypeKey(7, 1), VsiTypeKey(8, 1)
WEB_TEXT = "version: 1\nvsi_type: {type_id: 7, version: 1, name: web}\n"
DB_TEXT = "version: 1\nvsi_type: {type_id: 8, version: 1, name: db}\n"


def policies(*texts: str) -> PolicySet:
    found, diagnostics = load_policies([(f"{number}.yaml", text) for number, text in enumerate(texts)])
    assert found is not None, diagnostics
    return found


OLD = policies(WEB_TEXT, DB_TEXT)


def test_nothing_changed_is_allowed() -> None:
    assert forbidden_changes(OLD, OLD, {WEB, DB}) == []


def test_a_type_in_use_cannot_be_deleted() -> None:
    found = forbidden_changes(OLD, policies(DB_TEXT), {WEB})
    assert [str(diagnostic) for diagnostic in found] == [
        "0.yaml:1:1: VSI type 7/1 (web) is in use and cannot be deleted"
    ]


def test_a_type_in_use_cannot_be_changed_in_place() -> None:
    found = forbidden_changes(OLD, policies(WEB_TEXT + "from_vm: {default: allow}\n", DB_TEXT), {WEB})
    assert [str(diagnostic) for diagnostic in found] == [
        "0.yaml:1:1: VSI type 7/1 (web) is in use and cannot be changed in place: give it a new version"
    ]


def test_a_type_nobody_uses_may_change_and_go() -> None:
    assert forbidden_changes(OLD, policies(WEB_TEXT + "from_vm: {default: allow}\n"), set()) == []


def test_a_new_version_beside_the_one_in_use_is_allowed() -> None:
    newer = WEB_TEXT.replace("version: 1, name", "version: 2, name") + "from_vm: {default: allow}\n"
    assert forbidden_changes(OLD, policies(WEB_TEXT, newer, DB_TEXT), {WEB, DB}) == []


def test_comments_may_change_any_time() -> None:
    assert forbidden_changes(OLD, policies("# new\n" + WEB_TEXT, DB_TEXT), {WEB}) == []
