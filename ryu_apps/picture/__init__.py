"""The fabric as a picture: what its operator describes and, if a controller is asked, what is going on in it.

Values in, the text of an SVG file out; nothing here reads a file or asks anybody.
"""

from ryu_apps.picture.live import QUIET, Live, LiveError, Marker, VsiStage, read_live
from ryu_apps.picture.svg import render

__all__ = ["QUIET", "Live", "LiveError", "Marker", "VsiStage", "read_live", "render"]
