"""The bridge's configuration, read from disk: evbridge.yaml and the policies it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ryu_apps.evb.config import BridgeConfig, load_config
from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.policy.offer import HttpSource
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.sources import read_sources
from ryu_apps.vsi_manager_client import trust

#: Where the configuration is unless the environment says otherwise (EVBRIDGE_CONFIG).
DEFAULT_PATH = "/etc/evbridge/evbridge.yaml"


class SettingsError(Exception):
    """The operator's files cannot be used; the text lists every mistake with its line."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Settings of the bridge, read before it starts."""

    path: Path
    config: BridgeConfig
    policies: PolicySet

    @property
    def state_dir(self) -> Path | None:
        """Directory of the state, relative to the configuration file, or systemd's; None if none is kept."""
        chosen = self.config.state_dir or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
        return self.path.parent / chosen if chosen else None

    @property
    def certificates(self) -> tuple[Path, Path, Path] | None:
        """Private key, certificate and authorities for the connections to the store; None: without TLS."""
        store = self.config.store
        if store is None or store.private_key is None or store.certificate is None or store.ca_file is None:
            return None
        key, certificate, authorities = (
            self.path.parent / name for name in (store.private_key, store.certificate, store.ca_file)
        )
        return key, certificate, authorities


def config_path() -> Path:
    """The configuration file in force."""
    return Path(os.environ.get("EVBRIDGE_CONFIG", DEFAULT_PATH))


def load_settings(path: Path | None = None) -> BridgeSettings:
    """Read and check everything.

    Raises:
        SettingsError: a file cannot be read or has mistakes.
    """
    path = path or config_path()
    config, diagnostics = load_config(*_read_one(path))
    if config is None:
        raise SettingsError(diagnostics)
    if distrusted := [*_authorities(path, config), *_store_files(path, config)]:
        raise SettingsError(distrusted)
    return BridgeSettings(path, config, load_policy_set(path.parent, config.policies))


def load_policy_set(base: Path, places: tuple[str, ...]) -> PolicySet:
    """Read and check the VSI types in some files and directories, relative to ``base``.

    Raises:
        SettingsError: a file cannot be read or has mistakes.
    """
    sources, unreadable = read_sources(base / place for place in places)
    policies, diagnostics = load_policies(sources, SECTIONS)
    if policies is None or unreadable:
        raise SettingsError([*unreadable, *diagnostics])
    return policies


def _authorities(path: Path, config: BridgeConfig) -> Iterator[Diagnostic]:
    """Yield the faults of the files of trusted certificate authorities."""
    for source in config.vsi_managers.listed.values():
        if isinstance(source, HttpSource) and source.ca_file is not None:
            try:
                trust(path.parent, source)
            except OSError as problem:
                yield error(str(path.parent / source.ca_file), Position(), problem.strerror or str(problem))


def _store_files(path: Path, config: BridgeConfig) -> Iterator[Diagnostic]:
    """Yield the files for TLS with the store that cannot be read."""
    store = config.store
    for name in (store.private_key, store.certificate, store.ca_file) if store is not None else ():
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
