"""Number of examples: few where each run draws the same, more where each run draws anew."""

from __future__ import annotations

from hypothesis import settings

#: `make soak` draws so many times as many as `make test`.
MORE_IN_A_SOAK = 4


def drawn(examples: int, *, steps: int = 50) -> settings:
    """Return the settings of a test that `make test` runs with so many examples.

    Draws that are the same in every run find a fault of now or never.  So their number is the one that finds the faults
    that the test is for; what is rarer is for `make soak`.

    Args:
        examples: in `make test`.
        steps: of a state machine, at most.
    """
    # The profile is chosen before tests are imported.
    soaks = settings.get_current_profile_name() == "soak"
    return settings(max_examples=examples * (MORE_IN_A_SOAK if soaks else 1), stateful_step_count=steps)
