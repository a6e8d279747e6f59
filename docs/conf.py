"""Sphinx configuration of the manual; `make docs` treats warnings as errors."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "evbridge"
author = "the evbridge authors"
copyright = author
version = release = installed_version("evbridge")

extensions = ["contents", "events", "machines", "matrix", "records", "resources", "rooms", "worksheets"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Network policies, installed before the VM arrives", "page_width": "64em"}
html_static_path = ["_static"]
html_css_files = ["manual.css"]
nitpicky = True
