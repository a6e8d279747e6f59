"""Services: the rules that each staged service contributes for a VSI type and for a VSI.

``base`` has the class ``Service``, ``body`` composes the rules of all services of a type; a service is a
module, or a folder with its policy section. ``learnt`` has what rules that switches learn have in common.

The package may use ``pipeline``, ``flow``, ``policy`` and ``topology``.  A service depends neither on
another service nor on a switch or the time; ``vsi`` decides when its rules are staged.
"""
