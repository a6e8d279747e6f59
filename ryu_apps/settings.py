"""The bridge's configuration, read from disk: evbridge.yaml and the policies it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ryu_apps.evb.config import BridgeConfig, load_config
from ryu_apps.evb.config.bridge_config import PodMembership, SharedStore
from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.policy.offer import HttpSource
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.http_client import trust
from ryu_apps.policy_cache import PolicyCache
from ryu_apps.sources import read_sources

NO_POLICIES = PolicySet({})
#: Where the configuration is unless the environment says otherwise (EVBRIDGE_CONFIG).
DEFAULT_PATH = "/etc/evbridge/evbridge.yaml"


class SettingsError(Exception):
    """The operator's files cannot be used; the text lists every mistake with its line."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Settings of the bridge.

    Attributes:
        path: the configuration file.
        config: what it says.
        policies: the VSI types of the local directory; none until they have been read.
        state_dir: directory of the state; None if none is kept.
        cache: types of policies that have been read before.
    """

    path: Path
    config: BridgeConfig
    policies: PolicySet
    state_dir: Path | None
    cache: PolicyCache

    @property
    def certificates(self) -> tuple[Path, Path, Path] | None:
        """Private key, certificate and authorities for the connections to the store; None: without TLS."""
        return self._certificates(self.config.store)

    @property
    def directory_certificates(self) -> tuple[Path, Path, Path] | None:
        """The same for the connections to the directory of pods."""
        return self._certificates(self.config.pod)

    def _certificates(self, store: SharedStore | PodMembership | None) -> tuple[Path, Path, Path] | None:
        if store is None or store.private_key is None or store.certificate is None or store.ca_file is None:
            return None
        key, certificate, authorities = (
            self.path.parent / name for name in (store.private_key, store.certificate, store.ca_file)
        )
        return key, certificate, authorities


def config_path() -> Path:
    """The configuration file in force."""
    return Path(os.environ.get("EVBRIDGE_CONFIG", DEFAULT_PATH))


class ReadConfig(NamedTuple):
    """A configuration, and the text that it was read from."""

    config: BridgeConfig
    file: str
    text: str


def read_config(path: Path) -> ReadConfig:
    """Read and check evbridge.yaml, without the policies that it names.

    Raises:
        SettingsError: it cannot be read or has mistakes.
    """
    file, text = _read_one(path)
    config, diagnostics = load_config(file, text)
    if config is None:
        raise SettingsError(diagnostics)
    if distrusted := [*_authorities(path, config), *_store_files(path, config)]:
        raise SettingsError(distrusted)
    return ReadConfig(config, file, text)


def load_settings(path: Path | None = None) -> BridgeSettings:
    """Read and check evbridge.yaml, without the policies that it names.

    Raises:
        SettingsError: a file cannot be read or has mistakes.
    """
    path = path or config_path()
    config = read_config(path).config
    state_dir = _state_dir(path, config)
    return BridgeSettings(path, config, NO_POLICIES, state_dir, PolicyCache(state_dir))


def load_policy_set(
    base: Path, places: tuple[str, ...], cache: PolicyCache, in_force: PolicySet = NO_POLICIES
) -> PolicySet:
    """Read and check the VSI types in some files and directories.

    Args:
        base: the folder that they are relative to.
        places: files and directories.
        cache: types of policies that have been read before.
        in_force: types that are known already; one whose file is what it was stays as it is.

    Raises:
        SettingsError: a file cannot be read or has mistakes.
    """
    sources, unreadable = read_sources(base / place for place in places)
    known = {(vsi_type.file, vsi_type.text): vsi_type for vsi_type in in_force.types.values()}
    known |= cache.find(source for source in sources if source not in known)
    fresh, _ = load_policies((source for source in sources if source not in known), SECTIONS)
    if fresh is not None and not unreadable:
        found = known | {(vsi_type.file, vsi_type.text): vsi_type for vsi_type in fresh.types.values()}
        types = {vsi_type.key: vsi_type for vsi_type in map(found.__getitem__, sources)}
        if len(types) == len(sources):
            return PolicySet(types)
    # All files are read, so that all mistakes are told at once.
    _, diagnostics = load_policies(sources, SECTIONS)
    raise SettingsError([*unreadable, *diagnostics])


def _state_dir(path: Path, config: BridgeConfig) -> Path | None:
    """Return the directory of the state, relative to the configuration file, or systemd's."""
    chosen = config.state_dir or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return path.parent / chosen if chosen else None


def _authorities(path: Path, config: BridgeConfig) -> Iterator[Diagnostic]:
    """Yield the faults of the files of trusted certificate authorities."""
    for source in config.vsi_managers.listed.values():
        if isinstance(source, HttpSource) and source.ca_file is not None:
            yield from _authority(path, source)
    for peer in config.pod.peers.values() if config.pod is not None else ():
        if peer.ca_file is not None:
            yield from _authority(path, HttpSource(peer.urls[0], ca_file=peer.ca_file))


def _authority(path: Path, source: HttpSource) -> Iterator[Diagnostic]:
    try:
        trust(path.parent, source)
    except OSError as problem:
        yield error(str(path.parent / (source.ca_file or "")), Position(), problem.strerror or str(problem))


def _store_files(path: Path, config: BridgeConfig) -> Iterator[Diagnostic]:
    """Yield the files for TLS with the store and the directory that cannot be read."""
    services = [service for service in (config.store, config.pod) if service is not None]
    names = [name for service in services for name in (service.private_key, service.certificate, service.ca_file)]
    for name in names:
        if name is not None:
            try:
                (path.parent / name).read_bytes()
            except OSError as problem:
                yield error(str(path.parent / name), Position(), problem.strerror or str(problem))


def _read_one(path: Path) -> tuple[str, str]:
    sources, unreadable = read_sources([path])
    if unreadable:
        raise SettingsError(unreadable)
    return sources[0]
