"""The file of ``evbridge nms serve``, checked: every mistake with its line and column."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.policy.diagnostic import Diagnostic, error, has_errors, in_reading_order
from ryu_apps.evb.policy.document import Finding, read_document
from ryu_apps.evb.policy.validate import validate
from ryu_apps.nms.schema import NmsFile


def load_nms(file: str, text: str) -> tuple[NmsFile | None, list[Diagnostic]]:
    """Check a file.

    Returns:
        its content, None if there is any error, and all diagnostics in reading order.
    """
    document = read_document(file, text)
    if document.data is None:
        return None, document.diagnostics
    parsed, found = validate(NmsFile, document)
    found += document.diagnostics
    if parsed is not None:
        found += [error(file, document.value_place(path), reason) for path, reason in _inconsistencies(parsed)]
    if parsed is None or has_errors(found):
        return None, in_reading_order(found)
    return parsed, in_reading_order(found)


def _inconsistencies(parsed: NmsFile) -> Iterator[Finding]:
    for name, bridge in parsed.bridges.items():
        if bridge.token_file is not None and not all(map(_may_have_token, bridge.urls)):
            yield ("bridges", name), "a token is sent over https only"
    for name, source in parsed.acquisition.items():
        if not source.urls and not source.ovf:
            yield ("acquisition", name), "a source has urls, ovf, or both"
        remote = [place for place in (*source.urls, *source.ovf) if "://" in place]
        if source.token_file is not None and not all(map(_may_have_token, remote)):
            yield ("acquisition", name), "a token is sent over https only"
    prometheus = parsed.statistics.prometheus
    if prometheus is not None and prometheus.token_file is not None and not _may_have_token(prometheus.url):
        yield ("statistics", "prometheus"), "a token is sent over https only"
    for name, hook in parsed.hooks.items():
        if (hook.command is None) == (hook.url is None):
            yield ("hooks", name), "a hook has either a command or a url"
        if hook.url is None and (hook.token_file is not None or hook.ca_file is not None):
            yield ("hooks", name), "token_file and ca_file are of a url"
        if hook.url is not None and hook.token_file is not None and not hook.url.startswith("https:"):
            yield ("hooks", name), "a token is sent over https only"
        for index, bridge_name in enumerate(hook.bridges or ()):
            if bridge_name not in parsed.bridges:
                yield ("hooks", name, "bridges", index), f"there is no bridge {bridge_name!r}"


def _may_have_token(url: str) -> bool:
    return url.startswith(("https:", "http://127.", "http://localhost", "http://[::1]"))
