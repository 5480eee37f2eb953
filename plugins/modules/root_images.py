#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: root_images
short_description: Export the root images that HardwareNodes boot from
description:
  - Fetches from the ConfigNode the images that are in use, checks their digests, and exports each under its own AoE shelf.slot.
    The directory they lie in is also what NFS exports.
  - An image that is there is never changed, and none is removed, since a node may still run on it.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says which images would be fetched or exported.
    support: full
  diff_mode:
    description: Shows the names of the exported images.
    support: full
options:
  server:
    description: Address of the ConfigNode. By default the one that this node booted from.
    type: str
  directory:
    description: Where the images are kept.
    type: path
    default: /srv/bareroot/images
"""

EXAMPLES = r"""
- name: Export root images
  bareroot.cloud.root_images:
"""

RETURN = r"""
fetched:
  description: Images that were or would be fetched.
  type: list
  elements: str
  returned: success
  sample: [xen-0123456789abcdef]
exported:
  description: Images whose export was or would be started.
  type: list
  elements: str
  returned: success
  sample: [xen-0123456789abcdef]
"""

import http.client
import json
import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _names, _served, _units
from ..module_utils._runner import RunError, Runner

KEYS = {"aoe", "sha256", "size"}


class RootImages:
    """The images in a StorageNode's directory."""

    def __init__(self, server: str, directory: str, runner: Runner) -> None:
        self.base = f"http://{server}"
        self.directory = directory
        self.runner = runner

    def wanted(self) -> dict[str, dict]:
        with _served.open_path(self.base, "boot/root-images.json") as answer:
            images = json.load(answer)
        if not isinstance(images, dict) or not all(isinstance(entry, dict) and set(entry) >= KEYS for entry in images.values()):
            raise ValueError(f"{self.base}/boot/root-images.json is not what boot_tree writes: run playbooks/boot_tree.yml")
        for name in images:
            if not _names.matches(_names.IMAGE, name):
                raise ValueError(f"{self.base} lists an image called {name!r}, which is no image's name")
        return images

    def _path(self, name: str, file: str) -> str:
        return os.path.join(self.directory, name, file)

    def is_complete(self, name: str, entry: dict) -> bool:
        """Whether the image is there: `aoe`, its last file, is written when the digest has been checked."""
        try:
            with open(self._path(name, "aoe"), encoding="ascii") as stream:
                return stream.read().strip() == entry["aoe"] and os.path.getsize(self._path(name, "root.squashfs")) == entry["size"]
        except FileNotFoundError:
            return False

    def is_exported(self, name: str) -> bool:
        return _units.is_active(self.runner, self.unit(name))

    @staticmethod
    def unit(name: str) -> str:
        return f"bareroot-aoe@image-{name}.service"

    def fetch(self, name: str, entry: dict) -> None:
        os.makedirs(os.path.join(self.directory, name), exist_ok=True)
        part = self._path(name, ".part")
        _served.fetch_image_file(self.base, f"images/{name}/root.squashfs", part, name, entry["sha256"])
        # Whatever is served from here on is what is recorded; it is started again when all are there.
        self.runner.run(["systemctl", "stop", self.unit(name)])
        os.replace(part, self._path(name, "root.squashfs"))
        with open(self._path(name, "aoe"), "w", encoding="ascii") as stream:
            stream.write(f"{entry['aoe']}\n")

    def export(self, names: list[str]) -> None:
        self.runner.run(["systemctl", "start", *(self.unit(name) for name in names)])


def main() -> None:
    module = AnsibleModule(
        argument_spec={"server": {"type": "str"}, "directory": {"type": "path", "default": "/srv/bareroot/images"}},
        supports_check_mode=True,
    )
    directory = module.params["directory"]
    try:
        images = RootImages(module.params["server"] or _served.booted_from(), directory, Runner(module))
        wanted = images.wanted()
        if not os.path.ismount(directory) and not module.check_mode:
            raise ValueError(f"{directory} is not mounted: is bareroot-storage.service running?")
        fetched = [name for name, entry in wanted.items() if not images.is_complete(name, entry)]
        exported = [name for name in wanted if name in fetched or not images.is_exported(name)]
        if not module.check_mode:
            for name in fetched:
                images.fetch(name, wanted[name])
            if exported:
                images.export(exported)
    except RunError as error:
        module.fail_json(msg=f"cannot export the root images: {error}", **error.result)
    except (ValueError, OSError, http.client.HTTPException) as error:
        module.fail_json(msg=f"cannot export the root images: {error}")
    before = "".join(f"{name}\n" for name in wanted if name not in exported)
    after = "".join(f"{name}\n" for name in wanted)
    module.exit_json(changed=bool(fetched or exported), fetched=fetched, exported=exported, diff={"before": before, "after": after})


if __name__ == "__main__":
    main()
