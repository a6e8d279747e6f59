"""The policies of a start, read in a thread while the bridge listens already."""

from __future__ import annotations

import time

from eventlet import patcher
from ryu.lib import hub

from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.process.heap import uncollected
from ryu_apps.settings import BridgeSettings, load_policy_set

# Not one of eventlet's: the process waits for those when it ends.
_threading = patcher.original("threading")

#: Seconds between two looks whether the thread has ended.
_NAP = 0.005


class PolicyLoad:
    """A thread that reads the policies of a configuration; ended with the process, wherever it is.

    Attributes:
        begun: monotonic seconds.
    """

    def __init__(self, settings: BridgeSettings) -> None:
        self.begun = time.monotonic()
        self._settings = settings
        self._policies: PolicySet | None = None
        self._failure: BaseException | None = None
        self._thread = _threading.Thread(target=self._read, name="policies", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        settings = self._settings
        try:
            with uncollected():
                self._policies = load_policy_set(settings.path.parent, settings.config.policies, settings.cache)
        except BaseException as failure:
            self._failure = failure

    def ends_within(self, seconds: float) -> bool:
        """Wait for the end for so long, in a green thread; True: it is there."""
        deadline = time.monotonic() + seconds
        while self._thread.is_alive() and time.monotonic() < deadline:
            hub.sleep(_NAP)
        return not self._thread.is_alive()

    def result(self) -> PolicySet:
        """Wait for the end; returns the policies.

        Raises:
            SettingsError: a file cannot be read or has mistakes.
        """
        while not self.ends_within(1.0):
            pass
        if self._failure is not None:
            raise self._failure
        assert self._policies is not None
        return self._policies
