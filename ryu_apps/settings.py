"""The bridge's configuration, read from disk: evbridge.yaml and the policies it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ryu_apps.evb.config import BridgeConfig, load_config
from ryu_apps.evb.policy.diagnostic import Diagnostic
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet

#: Where the configuration is unless the environment says otherwise (EVBRIDGE_CONFIG).
DEFAULT_PATH = "/etc/evbridge/evbridge.yaml"


class SettingsError(Exception):
    """The operator's files cannot be used; the text lists every mistake with its line."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the bridge is told before it starts."""

    path: Path
    config: BridgeConfig
    policies: PolicySet

    @property
    def state_dir(self) -> Path | None:
        """Where the bridge keeps its state, relative to the configuration file; None: nowhere."""
        return self.path.parent / self.config.state_dir if self.config.state_dir else None


def config_path() -> Path:
    """The configuration file in force."""
    return Path(os.environ.get("EVBRIDGE_CONFIG", DEFAULT_PATH))


def load_settings(path: Path | None = None) -> Settings:
    """Read and check everything.

    Raises:
        SettingsError: a file has mistakes.
        OSError: a file cannot be read.
    """
    path = path or config_path()
    config, diagnostics = load_config(str(path), path.read_text(encoding="utf-8"))
    if config is None:
        raise SettingsError(diagnostics)
    policies, diagnostics = load_policies(policy_files(path.parent, config.policies))
    if policies is None:
        raise SettingsError(diagnostics)
    return Settings(path, config, policies)


def policy_files(base: Path, places: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """``(name, text)`` of every YAML file below the given files and directories."""
    for place in places:
        root = base / place
        files = sorted(root.rglob("*.yaml")) if root.is_dir() else [root]
        for file in files:
            yield str(file), file.read_text(encoding="utf-8")
