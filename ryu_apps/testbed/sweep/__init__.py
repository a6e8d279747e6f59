"""A scenario over and over, with other values of its attributes: ``evbridge sweep``.

``parameters`` reads ``--set`` and puts values into a scenario, ``plan`` checks every point of the grid and orders the
runs, ``run`` carries them out on clusters.  ``record`` keeps a line for each migration, ``intervals`` and ``summary``
compute medians with their intervals, ``plots`` draws them.

May use ``replay`` and what that uses; ``plots`` needs matplotlib.  Only ``run`` and ``record`` touch the world.
"""
