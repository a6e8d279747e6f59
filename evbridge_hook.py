"""Imported by ``evbridge.pth`` whenever this interpreter starts: waits for somebody to import Ryu.

``ryu-manager`` loads ``ryu.app.wsgi`` before any app could help it, so help has to be there before; and what it says
first is said before it loads an app.  Kept apart from ``ryu_apps`` so that a program without Ryu gets these few lines
and nothing else.
"""

import sys


class _Waiting:
    """A meta path finder that finds nothing, and so learns what is about to be imported."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "ryu.cmd.manager" and sys.argv[0].rpartition("/")[2] == "ryu-manager":
            from ryu_apps.process.plain_start import begin

            begin()
        if name == "ryu.app.wsgi":
            sys.meta_path.remove(self)
            import ryu_apps.compat  # noqa: F401


sys.meta_path.insert(0, _Waiting())
