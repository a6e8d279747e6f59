"""What Ryu 4.34 needs on a current eventlet, given to any program that imports Ryu.

``ryu.app.wsgi`` takes ``ALREADY_HANDLED`` from ``eventlet.wsgi``, which has not had it since 0.30.3;
``ryu-manager`` loads that module before any app could help.  Site-packages therefore holds an
``evbridge.pth`` that imports this module when the interpreter starts, and this module does no more
than wait: nothing of eventlet or Ryu is imported until somebody imports ``ryu.app.wsgi``.
"""

from __future__ import annotations

import sys

_TRIGGER = "ryu.app.wsgi"


class _Waiting:
    """A meta path finder that finds nothing, and so learns what is about to be imported."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == _TRIGGER:
            sys.meta_path.remove(self)
            restore()


def restore() -> None:
    """Give ``eventlet.wsgi`` the name that Ryu imports; harmless if it has it.

    Ryu returns the value as the body of a response that a websocket has already sent.  eventlet now
    tells those by ``WSGI_LOCAL.already_handled``, which its websocket sets, but it still iterates
    over the body: an empty one is right.
    """
    import eventlet.wsgi

    if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
        eventlet.wsgi.ALREADY_HANDLED = ()


def install() -> None:
    """Start to wait for Ryu, once however often it is called."""
    if _TRIGGER not in sys.modules and not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())


install()
