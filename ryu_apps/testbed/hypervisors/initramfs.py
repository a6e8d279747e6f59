"""Initramfs of a guest: busybox, modules of the unpacked Debian package of a kernel, and scripts."""

from __future__ import annotations

import gzip
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.shell import run

#: Name, mode, content.
Entry = tuple[str, int, bytes]

#: Modules for virtio devices, in the order in which they depend on each other.
VIRTIO_PCI = (
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
)
_DIRECTORY, _SYMLINK = stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777
_PROGRAM, _PLAIN = stat.S_IFREG | 0o755, stat.S_IFREG | 0o644


def find_kernel(package: Path) -> Path:
    """Return the kernel of an unpacked Debian package.

    Raises:
        TestbedError: none, or several.
    """
    return _only(package, "boot/vmlinuz-*")


def module_entries(package: Path, names: Iterable[str]) -> list[Entry]:
    """Return modules of an unpacked Debian package of a kernel, for the folder ``modules``.

    Raises:
        TestbedError: no kernel is there.
    """
    modules = _only(package, "lib/modules/*") / "kernel"
    files = [(f"modules/{Path(name).name}", _PLAIN, (modules / name).read_bytes()) for name in names]
    return [("modules", _DIRECTORY, b""), *files]


def program_entries() -> Iterator[Entry]:
    """Yield busybox, its libraries, and ``/bin/sh``.

    Raises:
        TestbedError: busybox is not installed.
    """
    busybox = shutil.which("busybox")
    if busybox is None:
        raise TestbedError("busybox is not installed")
    for folder in ("bin", "lib", "lib64"):
        yield folder, _DIRECTORY, b""
    yield "bin/busybox", _PROGRAM, Path(busybox).read_bytes()
    for library in _libraries(busybox):
        yield f"{'lib64' if library.name.startswith('ld-') else 'lib'}/{library.name}", _PROGRAM, library.read_bytes()
    yield "bin/sh", _SYMLINK, b"busybox"


def program(name: str, text: str) -> Entry:
    """Return an executable script."""
    return name, _PROGRAM, text.encode()


def write_initramfs(path: Path, entries: list[Entry]) -> Path:
    """Write an initramfs with these entries, and return its path."""
    path.write_bytes(gzip.compress(_cpio(entries), 1))
    return path


def _libraries(program: str) -> Iterator[Path]:
    """Yield the shared libraries of a program, its loader among them."""
    for line in run(["ldd", program]).splitlines():
        found = [word for word in line.split() if word.startswith("/")]
        if found:
            yield Path(found[0])


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise TestbedError(f"{len(found)} files {pattern} in {folder}: tools/guest-kernel unpacks a kernel there")
    return found[0]


def _cpio(entries: list[Entry]) -> bytes:
    """An archive in the "newc" format, which the kernel unpacks into its root file system."""
    records = [_record(number, *entry) for number, entry in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1)]
    return b"".join(records)


def _record(number: int, name: str, mode: int, content: bytes) -> bytes:
    # inode, mode, uid, gid, links, time, size, device and its minor, special device and its minor, name size, checksum
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _aligned(header) + _aligned(content)


def _aligned(octets: bytes) -> bytes:
    return octets + b"\0" * (-len(octets) % 4)
