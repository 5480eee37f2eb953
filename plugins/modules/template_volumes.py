#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: template_volumes
short_description: Have templates that instances begin with as volumes
description:
  - Fetches published template images from the ConfigNode to volumes of the StorageNode, named as the images are. Volumes of instances
    become clones of them, in a moment.
  - A clone lies in the half of its template, so each half that has clones needs a copy of its own. The copies have the same name. An image
    is fetched once, to however many halves it goes.
  - A volume counts only when its image's digest was checked and all was written.
  - Nothing is fetched to a half that is nearly full, as M(bareroot.cloud.volume) says.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says what would be fetched.
    support: full
  diff_mode:
    description: Shows the names of the volumes.
    support: full
requirements:
  - lvm2, thin-provisioning-tools, zstd
options:
  templates:
    description: The templates.
    type: list
    elements: dict
    required: true
    suboptions:
      template:
        description: A kind of template, of which the newest image is meant, such as V(debian); or the name of an image.
        type: str
        required: true
      half:
        description:
          - The half that is to have it. It must be active on this StorageNode.
          - Empty for any half; where none has it, it goes to the one with the most room.
        type: str
        choices: ["", half0, half1]
        default: ""
  server:
    description: The ConfigNode's address. Where it is not given, the one that this machine booted from.
    type: str
  directory:
    description: Where an image lies while it is unpacked, on a disk.
    type: path
    default: /srv/bareroot/images
"""

EXAMPLES = r"""
- name: Have the newest Debian template
  bareroot.cloud.template_volumes:
    templates:
      - template: debian

- name: Have it in both halves
  bareroot.cloud.template_volumes:
    templates:
      - {template: debian, half: half0}
      - {template: debian, half: half1}
"""

RETURN = r"""
templates:
  description:
    - The name of each template's volume, the same in all halves. In check mode, V(debian-0000000000000000) for one that is not published
      yet.
  type: dict
  returned: success
  sample: {debian: debian-0123456789abcdef}
fetched:
  description: The images that were or would be fetched.
  type: list
  elements: str
  returned: success
  sample: [debian-0123456789abcdef]
"""

import http
import http.client
import json
import os
import urllib.error

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _names, _served, _volumes
from ..module_utils._runner import RunError, Runner

WRITE_TIMEOUT = 1800
NOT_PUBLISHED = "0" * 16
# On a volume whose contents are not complete yet.
UNFINISHED = "bareroot.unfinished"
TEMPLATE = {
    "template": {"type": "str", "required": True},
    "half": {"type": "str", "choices": ["", *_volumes.HALVES], "default": ""},
}


class Published:
    """The ConfigNode's images."""

    def __init__(self, server: str) -> None:
        self.base = f"http://{server}/images"

    def current(self) -> dict[str, str]:
        try:
            with _served.open_path(self.base, "current.json") as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.NOT_FOUND:
                raise
            return {}
        if not isinstance(found, dict) or not all(_names.matches(_names.IMAGE, name) for name in found.values()):
            raise ValueError(f"{self.base}/current.json does not name images: run playbooks/images.yml")
        return found

    def disk(self, name: str) -> tuple[str, int]:
        """Return the digest of an image's compressed disk, and the disk's size in bytes."""
        try:
            with _served.open_path(self.base, f"{name}/manifest.json") as answer:
                manifest = json.load(answer)
            return manifest["files"]["disk.zst"]["sha256"], int(manifest["disk_size"])
        except urllib.error.HTTPError as error:
            raise ValueError(f"template {name} is not published on the ConfigNode: {error}; run playbooks/images.yml") from error
        except (KeyError, TypeError) as error:
            raise ValueError(f"{name} is no template: it has no disk. Use one such as debian") from error

    def fetch(self, name: str, target: str, sha256: str) -> None:
        _served.fetch_image_file(self.base, f"{name}/disk.zst", target, name, sha256)


def resolve(template: str, current: dict[str, str], check_mode: bool) -> str:
    """Return the name of the image that a template means."""
    if _names.matches(_names.IMAGE, template):
        return template
    if not _names.matches(_names.KIND, template):
        raise ValueError(f"template {template!r}: use a kind such as debian, or an image's name such as debian-0123456789abcdef")
    if template not in current and check_mode:
        return f"{template}-{NOT_PUBLISHED}"
    if template not in current:
        raise ValueError(f"there is no template {template}; there is: {', '.join(sorted(current)) or 'none'}. Run playbooks/images.yml")
    return current[template]


class Templates:
    """Template volumes on this StorageNode."""

    def __init__(self, runner: Runner, published: Published, directory: str) -> None:
        self.runner = runner
        self.published = published
        self.directory = directory
        report = runner.run_json(_volumes.lvs_argv())
        self.catalog = _volumes.parse(report)
        self.unfinished = {(row["vg_name"], row["lv_name"]) for row in report["report"][0]["lv"] if UNFINISHED in row["lv_tags"].split(",")}

    def whole(self, name: str) -> list[str]:
        """Return the groups of the halves that have all of a template."""
        return [volume.group for volume in self.catalog.named(name) if (volume.group, name) not in self.unfinished]

    def groups(self, name: str, halves: set[str]) -> list[str]:
        """Return the groups that are to have a template. An empty half stands for any."""
        named = [_volumes.pool_for(half, self.catalog.pools).group for half in sorted(halves - {""})]
        return named or self.whole(name)[:1] or [_volumes.emptiest(self.catalog.pools).group]

    def make(self, name: str, groups: list[str]) -> None:
        for volume in self.catalog.named(name):
            if (volume.group, name) in self.unfinished:
                self.runner.run(["lvremove", "--yes", f"{volume.group}/{name}"])
        wanted, size = self.published.disk(name)
        if not os.path.ismount(self.directory):
            raise ValueError(f"{self.directory} is not mounted: is bareroot-storage.service running?")
        part = os.path.join(self.directory, f".{name}.part")
        try:
            self.published.fetch(name, part, wanted)
            for group in groups:
                self._write(part, name, group, size)
        finally:
            if os.path.exists(part):
                os.unlink(part)

    def _write(self, part: str, name: str, group: str, size: int) -> None:
        create = ["lvcreate", "--yes", "--wipesignatures", "n", "--thin", "--virtualsize", f"{size}b", "--addtag", UNFINISHED]
        self.runner.run([*create, "--name", name, f"{group}/{_volumes.POOL}"])
        device = f"/dev/{group}/{name}"
        # Sparse: blocks of zeros take no room in the pool.
        self.runner.run(["zstd", "--quiet", "--decompress", "--force", "--sparse", part, "-o", device], timeout=WRITE_TIMEOUT)
        self.runner.run(["blockdev", "--flushbufs", device], timeout=WRITE_TIMEOUT)
        self.runner.run(["lvchange", "--deltag", UNFINISHED, f"{group}/{name}"])


def listed(places: set[tuple[str, str]]) -> str:
    return "".join(f"{group.removeprefix(_volumes.GROUP_PREFIX)}/{name}\n" for name, group in sorted(places))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "templates": {"type": "list", "elements": "dict", "required": True, "options": TEMPLATE},
            "server": {"type": "str"},
            "directory": {"type": "path", "default": "/srv/bareroot/images"},
        },
        supports_check_mode=True,
    )
    asked = module.params["templates"]
    try:
        published = Published(module.params["server"] or _served.booted_from())
        current = published.current()
        names = {item["template"]: resolve(item["template"], current, module.check_mode) for item in asked}
        templates = Templates(Runner(module), published, module.params["directory"])
        halves = {name: {item["half"] for item in asked if names[item["template"]] == name} for name in sorted(set(names.values()))}
        wanted = {(name, group) for name in halves for group in templates.groups(name, halves[name])}
        present = {(name, group) for name, group in wanted if group in templates.whole(name)}
        fetched = sorted({name for name, _group in wanted - present})
        for name, group in sorted(wanted - present):
            _volumes.require_room(name, group, templates.catalog.pools)
        if not module.check_mode:
            for name in fetched:
                templates.make(name, sorted(group for found, group in wanted - present if found == name))
    except RunError as error:
        module.fail_json(msg=f"cannot have the templates here: {error}", **error.result)
    except (ValueError, OSError, KeyError, http.client.HTTPException) as error:
        module.fail_json(msg=f"cannot have the templates here: {error}")
    module.exit_json(changed=bool(fetched), templates=names, fetched=fetched, diff={"before": listed(present), "after": listed(wanted)})


if __name__ == "__main__":
    main()
