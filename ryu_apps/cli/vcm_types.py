"""Answers of a running bridge about an inventory's VMs, types and room; or the types of its own policies."""

from __future__ import annotations

from pathlib import Path

import click

from ryu_apps.cli.rest_client import RestClient
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import has_errors
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.sources import read_sources
from ryu_apps.testbed.site import SiteError, has_vsi_managers, policies_of
from ryu_apps.vcm.bridge_answers import PATHS, BridgeAnswers, room_of
from ryu_apps.vcm.bridge_room import BridgeRoom
from ryu_apps.vcm.schema import ClusterSection


class UnknownTypesError(Exception):
    """It cannot be known which VSI types there are; the text says why."""


def types_at(bridge: RestClient) -> frozenset[VsiTypeKey]:
    """The VSI types that a bridge has now: its own, and those that it has fetched from VSI managers.

    Raises:
        ClickException: it does not answer, or not with VSI types.
    """
    try:
        return frozenset(VsiTypeKey(listed["type_id"], listed["version"]) for listed in bridge.get("/evb/vsitypes"))
    except (KeyError, TypeError):
        raise click.ClickException(f"{bridge.base}/evb/vsitypes: not a list of VSI types") from None


def room_at(bridge: RestClient) -> BridgeRoom:
    """The room that a bridge has left.

    Raises:
        ClickException: it does not answer, or not as a bridge does.
    """
    return _read(bridge, answers_of(bridge))


def answers_if_any(bridge: RestClient) -> BridgeAnswers | None:
    """The answers of a bridge; None, with a line on the standard error output: it does not answer as a bridge does."""
    try:
        answers = answers_of(bridge)
        _read(bridge, answers)
        return answers
    except click.ClickException as problem:
        click.echo(f"the bridge is not asked: {problem.message}", err=True)
        return None


def answers_of(bridge: RestClient) -> BridgeAnswers:
    """The answers from which the room is known.

    Raises:
        ClickException: it does not answer.
    """
    return BridgeAnswers(*(bridge.get(path) for path in PATHS))


def _read(bridge: RestClient, answers: BridgeAnswers) -> BridgeRoom:
    try:
        return room_of(answers)
    except ValueError as problem:
        raise click.ClickException(f"{bridge.base}: {problem}") from None


def types_of(spec: ClusterSection, folder: Path) -> frozenset[VsiTypeKey]:
    """The VSI types in the policies that ``evbridge vcm run`` gives to the bridge.

    Args:
        spec: section ``cluster`` of the inventory.
        folder: folder that its paths are relative to.

    Raises:
        UnknownTypesError: VSI managers may have others; or the inventory names no policies, and none are where they are
            by default.
        ClickException: the files cannot be read, or have mistakes.
    """
    try:
        if has_vsi_managers(spec.topology, folder):
            raise UnknownTypesError("VSI managers may have others")
        paths = [Path(place) for place in policies_of(spec.topology, spec.policies, folder)]
    except SiteError as problem:
        raise click.ClickException("\n".join(map(str, (problem, *problem.diagnostics)))) from None
    if spec.policies is None and not any(path.exists() for path in paths):
        raise UnknownTypesError("no policies are named")
    sources, found = read_sources(paths)
    policies, mistakes = load_policies(sources, SECTIONS)
    found += mistakes
    if policies is None or has_errors(found):
        raise click.ClickException("mistakes in the policies\n" + "\n".join(map(str, found)))
    return frozenset(policies.types)
