"""``evbridge demo``: what its options accept."""

import socket

import pytest
from click.testing import CliRunner

from ryu_apps.cli.demo import demo
from ryu_apps.evb.config.service_sections import MAX_PATIENCE, MIN_PATIENCE


def test_the_page_and_three_bridges_exclude_each_other() -> None:
    # The page's port is taken, so that nothing starts if the options are accepted.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(demo, ["--page", "--cluster", "--port", str(taken.getsockname()[1])])
    assert result.exit_code == 2
    assert "--page and --cluster exclude each other" in result.output


@pytest.mark.parametrize("patience", [MIN_PATIENCE / 2, MAX_PATIENCE * 2])
def test_the_patience_of_three_bridges_has_the_bounds_of_the_configuration(patience: float) -> None:
    # If the value is accepted, the command ends at the two options that exclude each other.
    result = CliRunner().invoke(demo, ["--cluster", "--page", "--patience", str(patience)])
    assert result.exit_code == 2
    assert "Invalid value for '--patience'" in result.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--paper", "modest", "--page"], "--paper excludes --page and --cluster"),
        (["--paper", "larger", "--cluster"], "--paper excludes --page and --cluster"),
        (["--nodes", "8"], "--nodes is of use with --paper alone"),
        (["--paper", "modest", "--nodes", "33"], "the modest cluster has 8 to 32 nodes"),
        (["--paper", "larger", "--nodes", "31"], "this larger cluster has 32 to 256 nodes"),
        (["--paper", "huge"], "'modest', 'larger'"),
    ],
)
def test_a_cluster_of_the_paper_has_its_sizes(options: list[str], told: str) -> None:
    result = CliRunner().invoke(demo, options)
    assert result.exit_code != 0
    assert told in result.output
