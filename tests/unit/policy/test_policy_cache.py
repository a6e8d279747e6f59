"""Policies that were read before come back from the state directory; what cannot be trusted there is not there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet, VsiType
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.policy_cache import FILE_NAME, LEAST, PolicyCache
from ryu_apps.settings import SettingsError, load_policy_set

NO_CACHE = PolicyCache(None)


def text_of(type_id: int, rules: int = 300) -> str:
    """A policy that is long enough to be kept."""
    head = f"version: 1\nvsi_type: {{type_id: {type_id}, version: 1, name: type{type_id}}}\nfrom_vm:\n  rules:\n"
    return head + "".join(
        f"    - rule: {{ipv4_src: 10.0.{number >> 8}.{number & 255}, actions: {{allow: 1}}}}\n"
        for number in range(rules)
    )


SOURCES = [(f"p{number}.yaml", text_of(number)) for number in (1, 2, 3)]


def types_of(sources: list[tuple[str, str]] = SOURCES) -> list[VsiType]:
    policies, mistakes = load_policies(sources, SECTIONS)
    assert policies is not None, mistakes
    return list(policies.types.values())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a cache that has three policies."""
    PolicyCache(tmp_path).keep(types_of())
    return tmp_path / FILE_NAME


def found(file: Path) -> list[str]:
    return [vsi_type.name for vsi_type in PolicyCache(file.parent).find(SOURCES).values()]


def test_types_come_back_with_the_text_of_their_files(file: Path) -> None:
    again = PolicyCache(file.parent).find(SOURCES)
    assert list(again) == SOURCES
    assert list(map(repr, again.values())) == list(map(repr, types_of()))
    assert [vsi_type.text for vsi_type in again.values()] == [text for _, text in SOURCES]
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.parent) == [FILE_NAME]


def test_a_short_policy_is_not_kept(tmp_path: Path) -> None:
    short = [("short.yaml", text_of(9, 10))]
    assert len(short[0][1]) < LEAST
    PolicyCache(tmp_path).keep(types_of(short))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("source", [("p1.yaml", text_of(1) + "# more\n"), ("other.yaml", text_of(1))])
def test_another_text_or_name_is_another_policy(file: Path, source: tuple[str, str]) -> None:
    assert PolicyCache(file.parent).find([source]) == {}


def test_another_version_of_the_code_reads_the_policies_anew(file: Path) -> None:
    assert PolicyCache(file.parent, code="another").find(SOURCES) == {}


def test_what_is_not_among_the_policies_any_more_is_removed(file: Path) -> None:
    PolicyCache(file.parent).keep(types_of(SOURCES[1:2]))
    assert found(file) == ["type2"]
    PolicyCache(file.parent).keep([])
    assert not file.exists()


def test_policies_that_are_too_long_for_the_file_are_not_kept(file: Path) -> None:
    bounded = PolicyCache(file.parent, max_octets=file.stat().st_size)
    assert len(bounded.find(SOURCES)) == 3
    bounded.keep(types_of([*SOURCES, ("p4.yaml", text_of(4))]))
    assert not file.exists()


def test_a_file_that_is_too_long_is_not_read(file: Path) -> None:
    assert PolicyCache(file.parent, max_octets=file.stat().st_size - 1).find(SOURCES) == {}


@pytest.mark.parametrize("octet", [0, 70, 140, 400, -2])
def test_a_damaged_line_is_one_policy_that_is_read_anew(file: Path, octet: int) -> None:
    lines = file.read_bytes().split(b"\n")
    damaged = bytearray(lines[1])
    damaged[octet] ^= 1
    lines[1] = bytes(damaged)
    file.write_bytes(b"\n".join(lines))
    assert found(file) == ["type1", "type3"]


@pytest.mark.parametrize("content", [b"", b"\n\n \n", b"\x80\x04.", bytes(range(256)) * 20, b"{}", b"a b c\n" * 50])
def test_a_file_of_something_else_has_no_policy(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert found(file) == []
    PolicyCache(file.parent).keep(types_of())
    assert found(file) == ["type1", "type2", "type3"]


def test_a_file_that_ends_too_early_has_the_policies_before_its_end(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert found(file) == ["type1"]


@pytest.mark.parametrize("rights", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_used(file: Path, rights: int) -> None:
    file.chmod(rights)
    assert found(file) == []


def test_a_file_of_another_user_is_not_used(file: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(file, 65534, -1)
    assert found(file) == []


def test_a_link_a_pipe_or_a_directory_is_not_used(file: Path) -> None:
    moved = file.rename(file.with_suffix(".real"))
    file.symlink_to(moved)
    assert found(file) == []
    file.unlink()
    os.mkfifo(file)
    assert found(file) == []
    file.unlink()
    file.mkdir()
    assert found(file) == []
    PolicyCache(file.parent).keep(types_of())
    assert file.is_dir()


def test_a_directory_that_is_missing_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    absent = PolicyCache(tmp_path / "absent")
    absent.keep(types_of())
    assert "not kept for the next start" in caplog.text
    assert absent.find(SOURCES) == {}


# --- files of an operator -------------------------------------------------------------------------
@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "types").mkdir()
    for name, text in SOURCES:
        (tmp_path / "types" / name).write_text(text)
    return tmp_path


def load(folder: Path, cache: PolicyCache = NO_CACHE, in_force: PolicySet | None = None) -> PolicySet:
    return load_policy_set(folder, ("types",), cache, in_force or PolicySet({}))


def test_a_file_that_is_unchanged_is_not_read_again(folder: Path) -> None:
    before = load(folder)
    (folder / "types" / "p2.yaml").write_text(text_of(2, 301))
    after = load(folder, in_force=before)
    assert list(after.types) == list(before.types)
    assert [after.types[key] is vsi_type for key, vsi_type in before.types.items()] == [True, False, True]
    assert list(map(repr, after.types.values())) == list(map(repr, load(folder).types.values()))


def test_a_policy_is_taken_from_the_cache(folder: Path) -> None:
    cache = PolicyCache(folder)
    cache.keep([replace(vsi_type, name="kept") for vsi_type in load(folder).types.values()][1:])
    assert [vsi_type.name for vsi_type in load(folder, cache).types.values()] == ["type1", "kept", "kept"]


def test_all_mistakes_are_told_whatever_is_in_the_cache(folder: Path) -> None:
    cache = PolicyCache(folder)
    cache.keep(load(folder).types.values())
    (folder / "types" / "p2.yaml").write_text(text_of(1))
    (folder / "types" / "p4.yaml").write_text("version: 2\n")
    told = []
    for tried in (NO_CACHE, cache):
        with pytest.raises(SettingsError) as refused:
            load(folder, tried)
        told.append(str(refused.value))
    assert told[0] == told[1]
    assert "p2.yaml:2:21: VSI type 1/1 is already defined in" in told[0]
    assert "p4.yaml:1:10:" in told[0]
