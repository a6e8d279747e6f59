"""Contents at the top of each page that has several sections."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.transforms.parts import Contents
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

#: Sections from which on a page has contents.
FEWEST = 2
_TITLE = "On this page"


class PageContents(SphinxTransform):
    """Puts a list of the sections behind the title of a page, unless the page has such a list, or is one of pages."""

    # Before the transform of docutils (720) that fills it in.
    default_priority = 700

    def apply(self, **kwargs: Any) -> None:
        """Docutils' entry point."""
        for page in self.document.findall(nodes.section):
            sections = [child for child in page.children if isinstance(child, nodes.section)]
            if len(sections) >= FEWEST and not list(self.document.findall(nodes.topic)):
                title = nodes.title("", _TITLE)
                topic = nodes.topic("", title, classes=["contents"], ids=["on-this-page"])
                pending = nodes.pending(Contents, {"depth": 1, "local": None}, rawsource="")
                topic += pending
                self.document.note_pending(pending)
                page.insert(1, topic)
            return


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.add_transform(PageContents)
    return {"version": "1", "parallel_read_safe": True}
