"""Picture of a fabric as SVG: the described cluster and, if a controller is asked, its live state.

``layout`` places switches, stations, hosts and links, ``svg`` draws them, ``live`` reads the answers of a
controller's REST interface as values.

Pure: values in, the text of an SVG file out; nothing here reads a file or opens a connection.  Imports the fabric of
the core.
"""

from ryu_apps.picture.live import QUIET, Live, LiveError, Marker, VsiStage, read_live
from ryu_apps.picture.svg import STYLE, render

__all__ = ["QUIET", "STYLE", "Live", "LiveError", "Marker", "VsiStage", "read_live", "render"]
