"""The file of ``evbridge nms serve``, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ryu_apps.evb.policy.validate import Strict

Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,31}$")]
StepName = Literal["stage", "activate", "fix-up", "release"]
Seconds = Annotated[float, Field(gt=0, le=600, strict=False)]
_Path = Annotated[str, Field(min_length=1, max_length=4096)]


def _url(written: str) -> str:
    scheme, separator, rest = written.partition("://")
    if scheme not in ("http", "https") or not separator or not rest.strip("/"):
        raise ValueError("a URL as http://127.0.0.1:8080 was expected")
    return written.rstrip("/")


Url = Annotated[str, Field(max_length=2000), AfterValidator(_url)]


class BridgeSection(Strict):
    """A bridge that is asked: the URLs of its members, and our credentials."""

    urls: Annotated[list[Url], Field(min_length=1, max_length=16)]
    token_file: _Path | None = None
    ca_file: _Path | None = None
    timeout: Seconds = 5.0


class PrometheusSection(Strict):
    """A Prometheus that scrapes the bridges: the label of a series that names its bridge, and our credentials."""

    url: Url
    label: Annotated[str, Field(pattern="^[a-zA-Z_][a-zA-Z0-9_]{0,63}$")] = "instance"
    history: Annotated[int, Field(ge=0)] = 3600
    timeout: Seconds = 30.0
    token_file: _Path | None = None
    ca_file: _Path | None = None


class StatisticsSection(Strict):
    """Gathering of totals: seconds between two readings, seconds for which samples are kept, and their bound.

    Without ``prometheus`` the bridges are asked.
    """

    interval: Annotated[float, Field(ge=0.1, le=86400, strict=False)] = 10.0
    retention: Annotated[int, Field(ge=1)] = 604_800
    max_samples: Annotated[int, Field(ge=1, le=100_000_000)] = 1_000_000
    max_vsis: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    prometheus: PrometheusSection | None = None


class HookSection(Strict):
    """A program or a URL that gets the steps of VSIs."""

    steps: Annotated[list[StepName], Field(min_length=1)]
    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=64)] | None = None
    url: Url | None = None
    token_file: _Path | None = None
    ca_file: _Path | None = None
    bridges: list[Name] | None = None
    deadline: Seconds = 10.0
    attempts: Annotated[int, Field(ge=1, le=1000)] = 10
    queue: Annotated[int, Field(ge=1, le=100_000)] = 1000


class SourceSection(Strict):
    """A source of VSI types: URLs of policy files, OVF packages, seconds between two questions, and our credentials."""

    urls: Annotated[list[Url], Field(max_length=1000, default_factory=list)]
    ovf: Annotated[list[_Path], Field(max_length=1000, default_factory=list)]
    interval: Annotated[float, Field(ge=1, le=86400, strict=False)] = 60.0
    timeout: Seconds = 10.0
    token_file: _Path | None = None
    ca_file: _Path | None = None


class NmsFile(Strict):
    """The whole file."""

    version: Literal[1]
    bridges: Annotated[dict[Name, BridgeSection], Field(min_length=1, max_length=256)]
    statistics: StatisticsSection = StatisticsSection()
    hooks: Annotated[dict[Name, HookSection], Field(max_length=64, default_factory=dict)]
    acquisition: Annotated[dict[Name, SourceSection], Field(max_length=64, default_factory=dict)]
    state_dir: _Path
