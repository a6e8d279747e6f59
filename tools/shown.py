"""Files of all that users see: pictures of the live page and the manual, and the answers of commands and REST.

``make shown`` runs the demo with its page, and writes into ``reports/shown`` while a VM moves.  ``index.html`` there
has all of it on one page.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import ProxyHandler, build_opener

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = "/usr/bin/chromium"
#: Milliseconds in which a VM has to be seen moving; seconds for a command.
_PATIENCE, _SECONDS = 180_000, 120
_COMMAND = (str(Path(sys.executable).with_name("evbridge")),)
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("vsis",),
    ("migrations",),
    ("flows", "1"),
    ("stations",),
    ("events",),
)
#: Paths of REST, and the names of the files of their answers.
ANSWERS = {
    "/evb": "resources.json",
    "/evb/openapi.json": "openapi.json",
    "/evb/vsis?limit=1": "vsis-in-parts.json",
    "/evb/picture.svg": "cluster.svg",
    "/metrics": "metrics.txt",
}
#: Octets of the event stream, which does not end.
_STREAMED = 1000
MANUAL = ("index", "tutorial", "page")


class Look(NamedTuple):
    """A browser window: width and height in pixels of CSS, light or dark."""

    width: int
    height: int
    scheme: str


LOOKS = {
    "page-light": Look(1280, 900, "light"),
    "page-dark": Look(1280, 900, "dark"),
    "page-telephone": Look(390, 844, "light"),
    "page-telephone-dark": Look(390, 844, "dark"),
}


@contextmanager
def demo(folder: Path, port: int) -> Iterator[str]:
    """The demo with its page; the URL of the page."""
    command = [*_COMMAND, "demo", "--page", "--port", str(port), "--output", str(folder / "demo")]
    with (folder / "demo.txt").open("w+") as log:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert running.stdout is not None
            for line in running.stdout:
                log.write(line)
                if "The live page" in line:
                    break
            else:
                raise SystemExit(f"the demo has ended: {folder / 'demo.txt'} has its words")
            yield f"http://127.0.0.1:{port}"
        finally:
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=_SECONDS)


def picture_page(browser: Browser, url: str, folder: Path) -> None:
    """Pictures of the live page while a VM moves."""
    for name, look in LOOKS.items():
        size = {"width": look.width, "height": look.height}
        page = browser.new_page(viewport=size, color_scheme=look.scheme)  # type: ignore[arg-type]
        page.goto(url)
        page.wait_for_selector("body[data-loaded]", timeout=_PATIENCE)
        page.wait_for_selector("#picture .moves > .move", state="attached", timeout=_PATIENCE)
        # Rules are read when they are in sight.
        page.locator("#switch").scroll_into_view_if_needed()
        page.wait_for_selector("#flows-active .rule", timeout=_PATIENCE)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=folder / f"{name}.png", full_page=True)
        page.close()


def picture_manual(browser: Browser, manual: Path, folder: Path) -> None:
    """Pictures of pages of the manual on a telephone."""
    for name in MANUAL:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto((manual / f"{name}.html").absolute().as_uri())
        page.screenshot(path=folder / f"manual-{name}-telephone.png")
        page.close()


def ask(url: str, folder: Path) -> None:
    """Write the output of commands, and the answers of REST."""
    server = build_opener(ProxyHandler({}))
    with server.open(f"{url}/evb/vsis?phase=active&limit=1", timeout=_SECONDS) as answer:
        (vsi,) = json.load(answer)
    for words in (*COMMANDS, ("explain", *frame_of(vsi))):
        command = [*_COMMAND, *words, "--rest", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        text = f"$ evbridge {' '.join(words)}\n{done.stdout}{done.stderr}"
        (folder / f"{words[0]}.txt").write_text(text, encoding="utf-8")
        if done.returncode:
            raise SystemExit(text)
    for path, name in ANSWERS.items():
        with server.open(f"{url}{path}", timeout=_SECONDS) as answer:
            (folder / name).write_bytes(answer.read())
    with server.open(f"{url}/evb/events/stream", timeout=_SECONDS) as stream:
        (folder / "events-stream.txt").write_bytes(stream.read(_STREAMED))


def frame_of(vsi: Mapping[str, Any]) -> tuple[str, ...]:
    """Port and fields of an ARP request that a VM sends, for ``evbridge explain``."""
    place = next(at for at in vsi["attachments"] if at["phase"] == "active")
    binding, sender = place["bindings"][0], next(text for text in place["addresses"] if "." in text)
    broadcast = ("eth_dst=ff:ff:ff:ff:ff:ff", "eth_type=arp", "arp_tpa=10.0.100.200")
    sent = (f"arp_sha={binding['mac']}", f"arp_spa={sender}", f"vlan_vid={binding['local_vid']}")
    return (place["name"], f"eth_src={binding['mac']}", *broadcast, *sent)


def write_index(folder: Path) -> None:
    """One page with all files."""
    parts = []
    for file in sorted(file for file in folder.iterdir() if file.is_file() and file.name != "index.html"):
        parts.append(f"<h2>{escape(file.name)}</h2>")
        if file.suffix in (".png", ".svg"):
            parts.append(f'<img src="{escape(file.name)}" alt="{escape(file.stem)}" style="max-width: 100%">')
        else:
            parts.append(f"<pre>{escape(file.read_text(encoding='utf-8', errors='replace')[:20_000])}</pre>")
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>evbridge: what users see</title>'
    (folder / "index.html").write_text(f"{head}<h1>What users see</h1>{''.join(parts)}\n", encoding="utf-8")


def main() -> None:
    """Write all files, and print where they are."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--output", type=Path, default=Path("reports/shown"), help="folder of the files")
    arguments.add_argument("--manual", type=Path, default=ROOT / "docs/_build/html", help="folder of the manual")
    arguments.add_argument("--port", type=int, default=8080, help="port of the live page")
    chosen = arguments.parse_args()
    folder: Path = chosen.output
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "docs/pictures/dashboard.png", folder)
    with sync_playwright() as playwright, demo(folder, chosen.port) as url:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        picture_page(browser, url, folder)
        picture_manual(browser, chosen.manual, folder)
        browser.close()
        ask(url, folder)
    write_index(folder)
    print(f"{folder}/index.html has {len(list(folder.glob('*.png')))} pictures, and the answers of commands and REST")


if __name__ == "__main__":
    main()
