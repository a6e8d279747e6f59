"""Replies of a VSI manager, asked over HTTP for one VSI type: values between the core and the HTTP client.

All managers have one path, ``{url}{type_id}/{version}.yaml``, so that a folder of files on any web server
or another evbridge can be a manager.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import Diagnostic, utf8
from ryu_apps.evb.policy.loader import load_offered
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.section import Section

#: Defaults of :class:`HttpSource`.
TIMEOUT, LIFETIME, MAX_SIZE = 2.0, 300.0, 1_000_000


@dataclass(frozen=True, slots=True)
class HttpSource:
    """URL and limits of a VSI manager.

    Attributes:
        url: prefix of its policies' URLs, slash included.
        timeout: seconds for a whole response.
        lifetime: seconds for which a response is fresh.
        max_size: octets of a policy.
        ca_file: certificates that authenticate it, None for those that the system trusts.
        token_file: file with the token that authenticates us, None for none.
    """

    url: str
    timeout: float = TIMEOUT
    lifetime: float = LIFETIME
    max_size: int = MAX_SIZE
    ca_file: str | None = None
    token_file: str | None = None

    def of(self, key: VsiTypeKey) -> str:
        """The URL of a type's policy."""
        return f"{self.url}{key.type_id}/{key.version}.yaml"


class Validators(NamedTuple):
    """Validators of a response (RFC 9110 8.8) for a conditional request; None if the response had none."""

    etag: str | None = None
    last_modified: str | None = None


class FetchedDocument(NamedTuple):
    """A policy that was fetched and has no mistake."""

    vsi_type: VsiType
    validators: Validators = Validators()


class NotModified(NamedTuple):
    """The policy is unchanged since the response with these validators."""


class NotFound(NamedTuple):
    """The manager has no such type or version."""


class Invalid(NamedTuple):
    """The document has mistakes and cannot be put in force."""

    mistakes: tuple[Diagnostic, ...]


class Unreachable(NamedTuple):
    """No usable response; ``reason`` is for operators."""

    reason: str


Offer = FetchedDocument | NotModified | NotFound | Invalid | Unreachable


def read_offer(
    url: str, key: VsiTypeKey, data: bytes, validators: Validators, sections: tuple[Section, ...]
) -> FetchedDocument | Invalid:
    """Check a manager's response.

    Takes seconds for thousands of rules, so callers run it in another thread.

    Args:
        url: its URL, for diagnostics.
        key: the requested type and version.
        data: the policy file.
        validators: of the response.
        sections: the services that the file may have.
    """
    text = utf8(url, data)
    if isinstance(text, Diagnostic):
        return Invalid((text,))
    vsi_type, mistakes = load_offered(url, text, key, sections)
    return Invalid(tuple(mistakes)) if vsi_type is None else FetchedDocument(vsi_type, validators)
