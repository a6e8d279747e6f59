"""What a VSI manager that is asked over HTTP has to say of one VSI type: values between the core and who asks.

One path for all managers: ``{url}{type_id}/{version}.yaml``, which a folder of files on any web server
has, and another evbridge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import Diagnostic, utf8
from ryu_apps.evb.policy.loader import load_offered
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.section import Section

#: What a manager is granted unless the configuration says otherwise.
TIMEOUT, LIFETIME, MAX_SIZE = 2.0, 300.0, 1_000_000


@dataclass(frozen=True, slots=True)
class HttpSource:
    """A VSI manager and how it is asked.

    Attributes:
        url: what its policies' paths begin with, slash included.
        timeout: seconds for a whole answer.
        lifetime: seconds for which an answer is taken for granted.
        max_size: octets that a policy may have.
        ca_file: who vouches for its certificate, None: whom the system trusts.
    """

    url: str
    timeout: float = TIMEOUT
    lifetime: float = LIFETIME
    max_size: int = MAX_SIZE
    ca_file: str | None = None

    def of(self, key: VsiTypeKey) -> str:
        """Where the policy of a type is."""
        return f"{self.url}{key.type_id}/{key.version}.yaml"


class Validators(NamedTuple):
    """How a manager recognises what it has told before (RFC 9110 8.8); None: it gave no such thing."""

    etag: str | None = None
    last_modified: str | None = None


class FetchedDocument(NamedTuple):
    """The policy, checked."""

    vsi_type: VsiType
    validators: Validators = Validators()


class NotModified(NamedTuple):
    """The policy is the one that the manager has told before."""


class NotFound(NamedTuple):
    """The manager has no such type or version."""


class Invalid(NamedTuple):
    """There is something, but nothing that could be put in force."""

    mistakes: tuple[Diagnostic, ...]


class Unreachable(NamedTuple):
    """The manager cannot be asked, or does not serve; ``reason`` is for operators."""

    reason: str


Offer = FetchedDocument | NotModified | NotFound | Invalid | Unreachable


def read_offer(
    url: str, key: VsiTypeKey, data: bytes, validators: Validators, sections: tuple[Section, ...]
) -> FetchedDocument | Invalid:
    """Check what came from a manager; takes seconds for thousands of rules, so it may take place in another thread.

    Args:
        url: where it came from, for diagnostics.
        key: the type and version that were asked for.
        data: the policy file.
        sections: the services that it may speak of.
    """
    text = utf8(url, data)
    if isinstance(text, Diagnostic):
        return Invalid((text,))
    vsi_type, mistakes = load_offered(url, text, key, sections)
    return Invalid(tuple(mistakes)) if vsi_type is None else FetchedDocument(vsi_type, validators)
