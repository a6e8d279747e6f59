"""Ladder diagrams of migrations, drawn from what has been recorded.

``timeline`` makes steps of the controller's events; ``model`` is the diagram; ``text``, ``mermaid`` and ``svg`` render
it.

Pure functions: no cluster, no file, no clock.  May use the catalogue of events and nothing of the testbed.
"""
