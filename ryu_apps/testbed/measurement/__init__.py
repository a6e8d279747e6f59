"""Figures of moves: from evidence, frames and probes to numbers, and from numbers to a verdict.

One chain for scenarios and for goals of the cluster manager: ``measure`` collects the observations of an attempt and
computes ``figures``; ``timeline`` adds those of the controller's events; ``verdict`` compares with expectations.

Pure, but for reading the attributes of an attempt.  May use ``moves``, ``flow_dumps`` and the value types of
``harness``; builds and asks no cluster.
"""
