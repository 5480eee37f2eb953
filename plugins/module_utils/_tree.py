# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a directory hold exactly the files that it should, one atomic rename each."""

from __future__ import annotations

import os
import stat
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
    """Return a file's contents, or None when there is none. Of a link it is where it leads, never what is there."""
    try:
        return f"-> {os.readlink(path)}\n".encode() if os.path.islink(path) else Path(path).read_bytes()
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


@dataclass(frozen=True)
class Target:
    """A directory whose files are all ours, each with `mode` and, unless -1, the group with that number."""

    directory: str
    mode: int
    group: int = -1

    def compare(self, wanted: dict[str, bytes]) -> list[Change]:
        """Return what must change; files that are not wanted are to go. Names have no subdirectories."""
        present = {}
        if os.path.isdir(self.directory):
            present = {entry.name: entry for entry in os.scandir(self.directory) if not entry.is_dir(follow_symlinks=False)}
        changes = []
        for name in sorted({*present, *wanted}):
            before = read(os.path.join(self.directory, name))
            if before != wanted.get(name) or (name in present and name in wanted and not self._is_regular(present[name])):
                changes.append(Change(name, before, wanted.get(name)))
        return changes

    def _is_regular(self, entry: os.DirEntry[str]) -> bool:
        status = entry.stat(follow_symlinks=False)
        return stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == self.mode and self.group in (-1, status.st_gid)

    def apply(self, changes: list[Change]) -> None:
        """Carry changes out."""
        os.makedirs(self.directory, exist_ok=True)
        for change in changes:
            path = os.path.join(self.directory, change.path)
            if change.after is None:
                os.unlink(path)
            else:
                write(path, change.after, self.mode, self.group)


def write(path: str, data: bytes, mode: int, group: int = -1) -> None:
    """Replace a file at once: a reader sees the old one or the new one."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        # In this order: a change of group takes set-ID bits away.
        os.chown(temporary, -1, group)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def link(target: str, path: str) -> None:
    """Make `path` a symbolic link at once, whatever file was there."""
    temporary = f"{path}.new-{os.getpid()}"
    os.symlink(target, temporary)
    try:
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
