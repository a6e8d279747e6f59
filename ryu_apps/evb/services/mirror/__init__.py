"""Mirror: copies of what a VSI sends and receives, to a port that the operator has configured.

``schema`` is its section of a policy file, ``service`` the rules that make copies.  The rules that carry them to the
port are infrastructure (``pipeline.mirrors``).
"""
