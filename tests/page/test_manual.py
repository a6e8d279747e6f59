"""The manual in a browser, on a telephone: contents, pictures, and no page that is wider than the screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

DOCS = Path(__file__).parents[2] / "docs"
#: Pages of one section, which need no contents; the search page is not ours.
SHORT = {"genindex", "search", "commands", "changelog", "release_notes", "demo", "index"}


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the HTML pages."""
    target = tmp_path_factory.mktemp("manual")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(DOCS), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def telephone(browser: Browser) -> Page:
    return browser.new_context(viewport={"width": 390, "height": 844}).new_page()


def test_every_page_fits_a_telephone_and_has_contents_and_pictures(manual: Path, telephone: Page) -> None:
    pages = [*manual.glob("*.html"), *manual.glob("contributing/*.html"), *manual.glob("decisions/012*.html")]
    assert len(pages) > 45
    wide, bare, broken = [], [], []
    for file in pages:
        telephone.goto(file.as_uri())
        if telephone.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(file.stem)
        if file.parent == manual and file.stem not in SHORT and not telephone.get_by_text("On this page").count():
            bare.append(file.stem)
        if telephone.evaluate("[...document.images].some(image => image.complete && !image.naturalWidth)"):
            broken.append(file.stem)
    assert (wide, bare, broken) == ([], [], [])


@pytest.mark.parametrize("page", ["changelog", "contributing/index", "glossary", "release_notes", "upgrading"])
def test_a_page_is_in_the_contents_of_the_manual(manual: Path, telephone: Page, page: str) -> None:
    telephone.goto((manual / "index.html").as_uri())
    assert telephone.locator(f'.toctree-wrapper a[href="{page}.html"]').count() == 1


def test_words_of_the_glossary_are_linked(manual: Path, telephone: Page) -> None:
    telephone.goto((manual / "glossary.html").as_uri())
    assert telephone.locator("dt#term-gate").count() == 1
    assert telephone.locator('a[href="#term-bridge"]').count() >= 1
