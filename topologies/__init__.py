"""Clusters to run evbridge on: each module describes one as a ``Fabric`` and offers it to ``mn --custom``."""
