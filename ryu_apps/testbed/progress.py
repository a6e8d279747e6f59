"""Progress of a long run, as text."""

from __future__ import annotations

from collections.abc import Callable

#: Shows what is being done now.
ShowProgress = Callable[[str], None]
