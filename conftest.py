"""Rules for every test: the same verdict twice, an end in time, and a skip is a failure.

Draws are the same in every run: hypothesis derives them from the test, and does not look for the smallest example
that fails, which may take minutes on one core.  ``--hypothesis-profile shrink`` does, from the same draws; ``soak``
draws anew, and shrinks too.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings

from ryu_apps.testbed.harness import interrupt

# A shared machine pauses as it likes; figures are for `make bench`.
_ALWAYS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
_SEARCH, _SHRINK = (Phase.explicit, Phase.generate), (Phase.explicit, Phase.generate, Phase.shrink)
settings.register_profile("evbridge", _ALWAYS, derandomize=True, phases=_SEARCH)
settings.register_profile("shrink", _ALWAYS, derandomize=True, phases=_SHRINK)
# Said, not inherited: where the environment has CI, hypothesis derandomizes by default.
settings.register_profile("soak", _ALWAYS, derandomize=False, phases=(*_SHRINK, Phase.reuse))
settings.load_profile("evbridge")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


# --- a test that takes too long --------------------------------------------------------------------
class TimeIsUp(BaseException):
    """The time of a test is over.

    Neither an ``Exception`` nor pytest's own failure, which is what pytest-timeout raises: hypothesis takes those for
    an example that fails, and goes on with the next one and no timer.
    """


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """In place of pytest-timeout's: again and again, for a test may catch everything.  Teardown has as long."""

    def expired(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp(f"{item.nodeid} took longer than {settings.timeout:g} s")

    signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, settings.timeout)
    return True


def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """The test is over."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return True


# --- a run that is ended ---------------------------------------------------------------------------
def pytest_configure() -> None:
    """SIGTERM, as of ``timeout``, is an interrupt: fixtures end the daemons that they have started."""
    interrupt.prepare(signal.SIGTERM)


# --- the order of tests -----------------------------------------------------------------------------
def pytest_addoption(parser: pytest.Parser) -> None:
    """Tests do not build on each other; `make soak` holds them to it."""
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run the tests in an order drawn with this seed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Another order, the same in all processes of a run."""
    seed = config.getoption("--shuffle")
    if seed is not None:
        items.sort(key=lambda item: item.nodeid)
        random.Random(seed).shuffle(items)


@pytest.fixture(scope="session")
def soak_seed(pytestconfig: pytest.Config) -> int:
    """Seed that `make soak` draws and prints; other draws than those of hypothesis use it too."""
    return int(pytestconfig.getoption("--hypothesis-seed") or 0)


# --- what a run covered -----------------------------------------------------------------------------
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """So that a part that was not run is seen not to be there."""
    ran: Counter[str] = Counter()
    for outcome in ("passed", "failed", "xfailed"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call":
                folder, *rest = Path(report.nodeid.partition("::")[0]).parts
                ran["/".join((folder, *rest[:1])) if folder == "tests" else folder] += 1
    if ran:
        terminalreporter.write_line(
            "Covered: " + ", ".join(f"{where} {number}" for where, number in sorted(ran.items()))
        )


# --- skips ------------------------------------------------------------------------------------------
def _refuse_skip(report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"not run, and skips count as failures here: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself, or is marked so, fails."""
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips itself while it is imported fails."""
    return _refuse_skip((yield))
