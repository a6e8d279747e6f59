"""``make test`` comes to an end, gives the same verdict twice, and says everything that is wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from ryu_apps.testbed.harness.shell import wait_until
from tests.worlds.draws import MORE_IN_A_SOAK

ROOT = Path(__file__).parents[2]


pytestmark = pytest.mark.timeout(300)


def start_pytest(test: Path, *options: str) -> subprocess.Popen[str]:
    """Start a run of one file elsewhere, under the settings of this repository, in a process group of its own."""
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "setup.cfg", "--rootdir", test.parent, "-p", "conftest"]
    command += ["-p", "no:cacheprovider", *options, test]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=test.parent, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


def run_pytest(test: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A run from :func:`start_pytest`, to its end."""
    with start_pytest(test, *options) as run:
        try:
            output, errors = run.communicate(timeout=200)
        except subprocess.TimeoutExpired:
            run.kill()
            raise
    return subprocess.CompletedProcess(run.args, run.returncode, output, errors)


def written(folder: Path, text: str) -> Path:
    test = folder / "test_it.py"
    test.write_text(
        "from hypothesis import given\nfrom hypothesis import strategies as st\nimport time\n" + dedent(text)
    )
    return test


ENDLESS = """
    def test_endless():
        while True:
            pass

    @given(st.integers())
    def test_endless_example(number):
        while True:
            pass

    # Every example but one fails, so that there is always a smaller one to look for.
    @given(st.lists(st.integers(), min_size=5))
    def test_endless_shrinking(numbers):
        time.sleep(0.2)
        assert numbers == [0]

    def test_that_catches_everything():
        try:
            time.sleep(50)
        except BaseException:
            time.sleep(50)

    def test_next():
        pass
    """


def test_a_test_that_does_not_end_is_ended_and_the_next_one_runs(tmp_path: Path) -> None:
    done = run_pytest(written(tmp_path, ENDLESS), "--timeout", "1", "--hypothesis-profile", "shrink")
    ended = re.findall(r"^E .*TimeIsUp: .*::(\w+) took longer than 1 s", done.stdout, re.MULTILINE)
    assert ended[:3] == ["test_endless", "test_endless_example", "test_endless_shrinking"]
    assert set(ended[3:]) == {"test_that_catches_everything"}
    assert "4 failed, 1 passed" in done.stdout and done.returncode == 1


DRAWS = """
    from tests.worlds.draws import drawn

    @given(st.lists(st.integers()))
    def test_it(numbers):
        print("drawn", numbers)

    @drawn(20)
    @given(st.integers())
    def test_of_few_examples(number):
        print("drawn of few", number)

    def test_last():
        print("drawn last")
    """


def drawn(test: Path, *options: str) -> list[str]:
    return re.findall(r"drawn .*", run_pytest(test, "-s", *options).stdout)


@pytest.mark.parametrize("ci", ["", "true"], ids=["at a desk", "in CI"])
def test_draws_and_order_are_the_same_in_every_run_and_others_in_a_soak(
    ci: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hypothesis derandomizes by itself where the environment has ``CI``."""
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", ci)
    test = written(tmp_path, DRAWS)
    usual = drawn(test)
    assert len(usual) > 50 and usual[-1] == "drawn last"
    assert drawn(test) == usual
    one, other = (
        drawn(test, "--hypothesis-profile", "soak", "--hypothesis-seed", seed, "--shuffle", seed) for seed in "12"
    )
    assert len({tuple(lines) for lines in (usual, one, other)}) == 3
    assert [few(lines) for lines in (usual, one, other)] == [20, 20 * MORE_IN_A_SOAK, 20 * MORE_IN_A_SOAK]


def few(lines: list[str]) -> int:
    """Number of examples of the test that has a number of its own."""
    return sum(line.startswith("drawn of few ") for line in lines)


def test_what_fails_is_told_as_it_was_drawn_with_a_blob_to_draw_it_again(tmp_path: Path) -> None:
    test = written(tmp_path, "@given(st.integers(min_value=0))\ndef test_it(number):\n    assert number < 1000\n")
    done, again, smallest = run_pytest(test), run_pytest(test), run_pytest(test, "--hypothesis-profile", "shrink")
    assert "@reproduce_failure" in done.stdout
    falsifying = re.compile(r"number=(\d+)")
    assert falsifying.findall(done.stdout) == falsifying.findall(again.stdout) != []
    assert "number=1000," in smallest.stdout


# --- make -------------------------------------------------------------------------------------------
def test_make_test_runs_every_part_even_if_the_first_fails(tmp_path: Path) -> None:
    parts = {}
    for name, verdict in (("PURE", False), ("REAL", True), ("CLUSTERS", False)):
        (tmp_path / name).mkdir()
        parts[name] = written(tmp_path / name, f"def test_it():\n    assert {verdict}\n")
    virtual_environment = os.path.relpath(sys.prefix, ROOT)
    # What they need is here: this test runs.
    ready = [f"--assume-old={target}" for target in ("network-debs", f"{virtual_environment}/test.stamp")]
    command = ["make", *ready, f"VENV={virtual_environment}", "test"]
    command += [f"{name}={path}" for name, path in parts.items()]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    clean["PYTEST_ADDOPTS"] = f"-c {ROOT / 'setup.cfg'} -p no:cacheprovider"
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False, env=clean)
    assert done.stdout.count("1 failed") == 2 and done.stdout.count("1 passed") == 1
    assert done.stdout.index("PURE") < done.stdout.index("REAL") < done.stdout.index("CLUSTERS")
    assert "slowest 10 durations" in done.stdout
    assert done.returncode != 0


@pytest.mark.parametrize("options", [[], ["-n", "1"]], ids=["alone", "with a worker"])
def test_a_run_that_is_terminated_ends_the_daemons_of_its_fixtures(tmp_path: Path, options: list[str]) -> None:
    text = """
        import pathlib, pytest, subprocess

        @pytest.fixture
        def daemon():
            daemon = subprocess.Popen(["sleep", "1000"])
            try:
                yield daemon.pid
            finally:
                daemon.kill()
                daemon.wait()

        def test_that_waits(daemon):
            pathlib.Path("daemon").write_text(f"{daemon}\\n")
            time.sleep(1000)
        """
    noted = tmp_path / "daemon"
    with start_pytest(written(tmp_path, text), *options) as run:
        wait_until(lambda: noted.exists() and noted.read_text().endswith("\n"), "the daemon", 120.0)
        daemon = int(noted.read_text())
        os.killpg(run.pid, signal.SIGTERM)  # as `timeout` does: the whole group
        output, _ = run.communicate(timeout=60)
        assert run.returncode == pytest.ExitCode.INTERRUPTED, output
    wait_until(lambda: not Path(f"/proc/{daemon}").exists(), "the end of the daemon")
