"""Scenarios and traces on a cluster: ``evbridge replay`` and ``evbridge demo``.

``scenario`` reads and checks a file, ``player`` runs its migrations one after the other, ``evaluation`` and
``report`` make figures, verdict and ladder diagram of each.  ``trace`` runs a day of placements of many VSIs.

May use ``harness``, ``moves``, ``measurement``, ``ladder`` and ``ryu_apps.vcm``.
"""
