# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a directory hold exactly the files that it should, one atomic rename each."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Change:
    """One file that differs; None stands for a file that is not there."""

    path: str
    before: bytes | None
    after: bytes | None


def read(path: str) -> bytes | None:
    """Return a file's contents, or None when there is none."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def text_diff(change: Change, header: str) -> dict[str, str]:
    """Return a change as Ansible shows differences."""
    return {"before_header": header, "after_header": header, "before": _shown(change.before), "after": _shown(change.after)}


def _shown(data: bytes | None) -> str:
    try:
        return (data or b"").decode()
    except UnicodeDecodeError:
        return f"{len(data or b'')} bytes that are not text\n"


def compare(directory: str, wanted: dict[str, bytes]) -> list[Change]:
    """Return what must change in `directory`, whose other files are to go. Paths are relative, without subdirectories."""
    try:
        present = {entry.name for entry in os.scandir(directory) if entry.is_file(follow_symlinks=False)}
    except FileNotFoundError:
        present = set()
    changes = []
    for name in sorted({*present, *wanted}):
        before = Path(directory, name).read_bytes() if name in present else None
        after = wanted.get(name)
        if before != after:
            changes.append(Change(name, before, after))
    return changes


def apply(directory: str, changes: list[Change], mode: int, group: int = -1) -> None:
    """Carry changes out. Files get `mode` and, unless -1, the group with that number."""
    os.makedirs(directory, exist_ok=True)
    for change in changes:
        if change.after is None:
            os.unlink(os.path.join(directory, change.path))
        else:
            write(os.path.join(directory, change.path), change.after, mode, group)


def write(path: str, data: bytes, mode: int, group: int = -1) -> None:
    """Replace a file at once: a reader sees the old one or the new one."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(temporary, mode)
        os.chown(temporary, -1, group)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def link(target: str, path: str) -> None:
    """Make `path` a symbolic link at once, whatever file was there."""
    temporary = f"{path}.new-{os.getpid()}"
    os.symlink(target, temporary)
    os.replace(temporary, path)
