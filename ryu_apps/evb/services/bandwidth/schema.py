"""Section ``bandwidth`` of a policy file, and the policy made of it.

Rates are kbit/s and bursts kbit, as in OpenFlow (OFPMF_KBPS) and OVSDB (``ingress_policing_rate``,
``ingress_policing_burst``); a kbit is 1000 bits.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Annotated

from pydantic import Field, model_validator

from ryu_apps.evb.policy.document import Document
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.policy.validate import Strict

NAME = "bandwidth"
#: Bits of an Ethernet frame of 1518 octets, in kbit: with a smaller burst it never passes.
LEAST_BURST = 13
#: Default burst: this part of a second's rate, and at least so many kbit.  A virtual machine with segmentation
#: offload sends up to 64 KiB in one frame.
_PART_OF_RATE, _USUAL_BURST = 10, 1000

Rate = Annotated[int, Field(ge=1, le=0xFFFFFFFF)]


class RateSection(Strict):
    """Limit and reservation of one direction."""

    rate: Rate | None = None
    burst: Annotated[int, Field(ge=LEAST_BURST, le=0xFFFFFFFF)] | None = None
    minimum: Rate | None = None

    @model_validator(mode="after")
    def _consistent(self) -> RateSection:
        if self.rate is None and self.minimum is None:
            raise ValueError("a rate or a minimum was expected")
        if self.rate is None and self.burst is not None:
            raise ValueError("burst needs rate")
        if self.rate is not None and self.minimum is not None and self.minimum > self.rate:
            raise ValueError(f"the minimum of {self.minimum} is above the rate of {self.rate}")
        return self


class BandwidthSection(Strict):
    """Rates of a VSI, as seen by the VM."""

    from_vm: RateSection | None = None
    to_vm: RateSection | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> BandwidthSection:
        if self.from_vm is None and self.to_vm is None:
            raise ValueError("from_vm or to_vm was expected")
        return self


@dataclass(frozen=True, slots=True)
class BandwidthLimit:
    """Limit and reservation of one direction.

    Attributes:
        rate: kbit/s above which frames are dropped; None: no limit.
        burst: kbit of slack.
        minimum: kbit/s that are reserved; 0: none.
    """

    rate: int | None = None
    burst: int = 0
    minimum: int = 0


@dataclass(frozen=True, slots=True)
class BandwidthPolicy:
    """The bandwidth of a VSI type."""

    from_vm: BandwidthLimit
    to_vm: BandwidthLimit


def _limit(section: RateSection | None) -> BandwidthLimit:
    if section is None:
        return BandwidthLimit()
    usual = 0 if section.rate is None else max(section.rate // _PART_OF_RATE, _USUAL_BURST)
    return BandwidthLimit(section.rate, section.burst or usual, section.minimum or 0)


def _resolve(section: BandwidthSection, document: Document) -> BandwidthPolicy:
    return BandwidthPolicy(_limit(section.from_vm), _limit(section.to_vm))


def _meaning(value: BandwidthPolicy) -> object:
    return astuple(value)


SECTION = Section(NAME, BandwidthSection, _resolve, _meaning)
