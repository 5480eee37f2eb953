#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: personality
short_description: Bring a running node the changes of its personality
description:
  - A node gets its personality, the files that make it differ from others of its role, from the ConfigNode when it boots. This module
    brings a running node what has changed since. It runs on the node, since nobody else is given the files.
  - Files that count from the next boot only are left alone, which are C(/etc/hostname), C(/etc/machine-id), C(/etc/bareroot/network) and
    C(/etc/bareroot/node.json).
  - Definitions of halves and files of the cluster that are no longer part of the personality are removed. Other files stay until the next
    boot.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says what would change.
    support: full
  diff_mode:
    description: Shows each file that differs; a digest stands for the contents of files that not everybody may read.
    support: full
options:
  server:
    description: Address of the ConfigNode. By default the one that this node booted from.
    type: str
  root:
    description: Directory over which the files are laid.
    type: path
    default: /
"""

EXAMPLES = r"""
- name: Bring what has changed since this node booted
  bareroot.cloud.personality:
"""

RETURN = r"""
files:
  description: Paths of the files that were or would be written, sorted.
  type: list
  elements: str
  returned: success
  sample: [/etc/drbd.d/half0.res]
removed:
  description: Paths of the files that were or would be removed, sorted.
  type: list
  elements: str
  returned: success
  sample: [/etc/corosync/authkey]
"""

import glob
import http.client
import io
import json
import os
import stat
import tarfile
import urllib.error
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import PurePosixPath

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _personality, _served, _tree

# They count from the next boot: only the initramfs reads what networks there are, programs that run take it that a machine's name and
# identity never change, and node.json says from which image this machine has booted.
FROM_NEXT_BOOT = frozenset({"etc/hostname", "etc/machine-id", "etc/bareroot/network", "etc/bareroot/node.json"})
# What only a personality puts there, and what does harm where it is out of date.
OWN = ("etc/drbd.d/half*.res", "etc/bareroot/half*.mac", "etc/corosync/authkey")


@dataclass(frozen=True)
class File:
    """A file's contents, and its type and permissions as stat(2) has them."""

    data: bytes
    mode: int

    @property
    def is_public(self) -> bool:
        return bool(self.mode & stat.S_IROTH)

    @property
    def permissions(self) -> int:
        return stat.S_IMODE(self.mode)


@dataclass(frozen=True)
class Change:
    """One file that differs; None stands for a file that is not there."""

    path: str
    before: File | None
    after: File | None

    def diff(self) -> dict[str, str]:
        """Return it as Ansible shows differences; a secret that everybody could read, or can now, stays one."""
        sides = (self.before, self.after)
        if all(side.is_public for side in sides if side):
            before, after = (side and side.data for side in sides)
        else:
            before, after = (side and f"{_personality.digest(side.data)}\n".encode() for side in sides)
        shown = _tree.text_diff(_tree.Change(self.path, before, after), self.path)
        return {**shown, "before_header": self._header(self.before), "after_header": self._header(self.after)}

    def _header(self, side: File | None) -> str:
        return f"{self.path} {side.permissions:04o}" if side else self.path


def own_address() -> str:
    """Return this node's address on the boot network."""
    try:
        with open(_served.NODE_FACTS, encoding="utf-8") as stream:
            return str(ip_interface(json.load(stream)["address"]).ip)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{_served.NODE_FACTS} does not say this node's address: {error}; has it booted from a ConfigNode?") from error


def fetch(server: str, address: str) -> dict[str, File]:
    """Return what the ConfigNode has for the node with this address."""
    base, path = f"http://{server}", f"personality/{address}.tar"
    try:
        with _served.open_path(base, path) as answer:
            return unpack(answer.read())
    except urllib.error.HTTPError as error:
        raise ValueError(f"{base}/{path}: {error}; is this node in the inventory, has playbooks/boot_tree.yml been run?") from error
    except tarfile.TarError as error:
        raise ValueError(f"{base}/{path} is damaged: {error}; run playbooks/boot_tree.yml") from error
    except (ValueError, OSError, http.client.HTTPException) as error:
        raise ValueError(f"{base}/{path}: {error}") from error


def unpack(data: bytes) -> dict[str, File]:
    """Return {path: file} of a packed personality. Raises ValueError where an entry is nothing that belongs below the root."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        entries = tar.getmembers()
        for entry in entries:
            check(entry)
        contents = [(entry, tar.extractfile(entry)) for entry in entries]
        files = {
            str(PurePosixPath(entry.name)): File(stream.read(), stat.S_IFREG | stat.S_IMODE(entry.mode))
            for entry, stream in contents
            if stream
        }
    if not files:
        raise tarfile.ReadError("there is no file in it")
    return files


def check(entry: tarfile.TarInfo) -> None:
    if entry.name.startswith("/") or ".." in entry.name.split("/"):
        raise ValueError(f"it holds {entry.name!r}, which may lie outside the root")
    if not entry.isreg() and not entry.isdir():
        raise ValueError(f"it holds {entry.name!r}, which is neither a regular file nor a directory")


class Root:
    """The directory over which the files are laid."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def compare(self, wanted: dict[str, File]) -> list[Change]:
        """Return which files are to be written."""
        changes = [Change(self.path(name), self.present(name), file) for name, file in sorted(wanted.items()) if name not in FROM_NEXT_BOOT]
        return [change for change in changes if change.before != change.after]

    def surplus(self, wanted: dict[str, File]) -> list[Change]:
        """Return which files are to be removed."""
        names = sorted(name for pattern in OWN for name in glob.glob(pattern, root_dir=self.directory) if name not in wanted)
        files = [name for name in names if not stat.S_ISDIR(os.lstat(self.path(name)).st_mode)]
        return [Change(self.path(name), self.present(name), None) for name in files]

    def present(self, name: str) -> File | None:
        data = _tree.read(self.path(name))
        return None if data is None else File(data, os.lstat(self.path(name)).st_mode)

    def write(self, change: Change) -> None:
        self._make_directories(os.path.relpath(change.path, self.directory))
        _tree.write(change.path, change.after.data, change.after.permissions)

    def _make_directories(self, name: str) -> None:
        for parent in reversed(PurePosixPath(name).parents[:-1]):
            if not os.path.isdir(self.path(parent)):
                os.mkdir(self.path(parent))
                # Not by mkdir, which obeys the umask.
                os.chmod(self.path(parent), 0o700 if parent.parts[0] == "root" else 0o755)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"server": {"type": "str"}, "root": {"type": "path", "default": "/"}},
        supports_check_mode=True,
    )
    root = Root(module.params["root"])
    try:
        address = own_address()
        wanted = fetch(module.params["server"] or _served.booted_from(), address)
        written, removed = root.compare(wanted), root.surplus(wanted)
        if not module.check_mode:
            for change in written:
                root.write(change)
            for change in removed:
                os.unlink(change.path)
    except (ValueError, OSError) as error:
        module.fail_json(msg=f"cannot bring this node its personality: {error}")
    module.exit_json(
        changed=bool(written or removed),
        files=[change.path for change in written],
        removed=[change.path for change in removed],
        diff=[change.diff() for change in (*written, *removed)],
    )


if __name__ == "__main__":
    main()
