"""Goals of the cluster manager on a cluster: ``evbridge vcm run``.

``ryu_apps.vcm`` decides; ``run.Manager`` hands its steps to the executor in ``moves`` and feeds the results back.
``guests`` builds the cluster of an inventory with its VMs and their traffic, ``campaign`` pursues a goal once and
``report`` shows the figures.  ``remote`` is an orchestrator that is asked by REST.

May use ``harness``, ``moves``, ``measurement`` and ``ryu_apps.vcm``; no scenario.
"""
