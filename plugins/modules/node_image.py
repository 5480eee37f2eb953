#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_image
short_description: Build an image that diskless nodes boot, or that instances begin with
description:
  - Builds a Debian root with C(mmdebstrap). For nodes it is packed as squashfs, with kernel, initramfs and, where installed, Xen beside it.
    For instances it becomes a disk, one ext4 file system with the kernel in it.
  - The result is a tar archive named after its kind and its contents. It is never changed afterwards, and equal inputs are built once.
  - The archive holds one directory of the image's name; C(manifest.json), its last file, has the SHA-256 and size of each other one.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Says whether an image would be built, and builds none.
    support: full
  diff_mode:
    description: Shows the image's name before and after; a name that is not known before the build is shown as C(to be built).
    support: full
requirements:
  - root on Debian, with mmdebstrap, zstd, and squashfs-tools or e2fsprogs
options:
  kind:
    description: What the image is for, the first part of its name.
    type: str
    required: true
  packages:
    description: Debian packages to install. Recommended packages are not installed.
    type: list
    elements: str
    required: true
  overlays:
    description: Directories whose files are laid over the root, one after the other, before the kernel is installed.
    type: list
    elements: path
    required: true
  mirror:
    description: Where packages come from.
    type: dict
    required: true
    suboptions:
      main:
        description: Address of the Debian archive.
        type: str
        required: true
      security:
        description: Address of the Debian security archive.
        type: str
        required: true
  format:
    description: What is made of the root. V(squashfs) is for nodes; V(disk), a zstd-compressed C(disk.zst), for instances.
    type: str
    choices: [squashfs, disk]
    default: squashfs
  apt_proxy:
    description: HTTP proxy for packages, such as V(http://cache.example:3142). Empty for none. It is not part of the image.
    type: str
    default: ""
  suite:
    description: Debian release.
    type: str
    default: trixie
  cache_directory:
    description: Where images are kept, one archive each below C(images).
    type: path
    default: /var/cache/bareroot
  refresh:
    description: Build even if these inputs were built before, to take in newer packages.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Build the image of Xen HardwareNodes
  bareroot.cloud.node_image:
    kind: xen
    packages: [linux-image-amd64, systemd-sysv, openssh-server, xen-system-amd64]
    overlays: [/srv/overlays/common, /srv/overlays/xen]
    mirror:
      main: http://mirror.example/debian
      security: http://mirror.example/debian-security
"""

RETURN = r"""
name:
  description: The image's name; empty in check mode when it would be built.
  type: str
  returned: success
  sample: xen-0123456789abcdef
archive:
  description: The tar archive of its files; empty in check mode when it would be built.
  type: str
  returned: success
  sample: /var/cache/bareroot/images/xen-0123456789abcdef.tar
sizes:
  description: Size of each file, in bytes.
  type: dict
  returned: success
  sample: {initrd: 20000000, root.squashfs: 150000000}
"""

import gzip
import os
import shutil
import tarfile
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _image, _names
from ..module_utils._runner import RunError, Runner

BUILD_TIMEOUT = 3600


def check(params: dict) -> None:
    """Refuse what must not reach a file name or a copy of everything."""
    if not _names.matches(_names.KIND, params["kind"]):
        raise ValueError(f"kind {params['kind']!r}: use lower-case letters, such as xen")
    for overlay in params["overlays"]:
        if not overlay or not os.path.isdir(overlay):
            raise ValueError(f"{overlay!r} in overlays is not a directory; give one such as /srv/overlays/xen")


class NodeImage:
    """One kind of image in the cache of its builder."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.runner = Runner(module)
        self.params = module.params
        self.images = os.path.join(module.params["cache_directory"], "images")
        inputs = {name: module.params[name] for name in ("kind", "mirror", "suite", "format")}
        inputs["packages"] = sorted(module.params["packages"])
        inputs["overlays"] = [_image.overlay_digest(overlay) for overlay in module.params["overlays"]]
        self.record = os.path.join(module.params["cache_directory"], "inputs", _image.inputs_key(inputs))

    def built(self) -> str:
        """Return the name of the image that was built from these inputs, or an empty string."""
        try:
            with open(self.record, encoding="ascii") as stream:
                name = stream.read().strip()
        except FileNotFoundError:
            return ""
        return name if self.sizes(name) else ""

    def archive(self, name: str) -> str:
        return os.path.join(self.images, f"{name}.tar") if name else ""

    def sizes(self, name: str) -> dict[str, int]:
        if not name:
            return {}
        try:
            with tarfile.open(self.archive(name)) as tar:
                return _image.sizes(tar.extractfile(f"{name}/{_image.MANIFEST}").read())
        except (FileNotFoundError, KeyError, ValueError, tarfile.TarError):
            # Not there, or damaged: it is built again.
            return {}

    def build(self) -> str:
        os.makedirs(self.images, exist_ok=True)
        os.makedirs(os.path.dirname(self.record), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.images, prefix=".building-") as work:
            root, boot, result = (os.path.join(work, part) for part in ("root", "boot", "result"))
            os.mkdir(boot)
            os.mkdir(result)
            self._bootstrap(root, boot)
            shutil.copyfile(os.path.join(boot, "packages.txt"), os.path.join(result, "packages.txt"))
            facts = self._pack_disk(root, work, result) if self.params["format"] == "disk" else self._pack_root(root, boot, result)
            name, manifest = _image.describe(result, self.params["kind"], self.params["suite"], facts)
            packed = os.path.join(work, "image.tar")
            _image.pack(result, name, manifest, packed)
            os.replace(packed, self.archive(name))
        with open(self.record, "w", encoding="ascii") as stream:
            stream.write(f"{name}\n")
        return name

    def _bootstrap(self, root: str, boot: str) -> None:
        argv = _image.mmdebstrap_argv(root, boot, self.params)
        self.runner.run(argv, timeout=BUILD_TIMEOUT, environ_update={"SOURCE_DATE_EPOCH": "0"})

    def _collect(self, boot: str, result: str) -> None:
        for served, name in _image.boot_files(os.listdir(boot)).items():
            source = os.path.join(boot, name)
            if served == "xen.gz":
                # Not every iPXE can unpack it.
                with gzip.open(source) as packed, open(os.path.join(result, "xen"), "wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)
            else:
                shutil.copyfile(source, os.path.join(result, served))

    def _pack_root(self, root: str, boot: str, result: str) -> dict[str, int]:
        self._collect(boot, result)
        target = os.path.join(result, "root.squashfs")
        argv = ["mksquashfs", root, target, "-noappend", "-no-progress", "-comp", "zstd", "-Xcompression-level", "15"]
        self.runner.run(argv, timeout=BUILD_TIMEOUT)
        return {}

    def _pack_disk(self, root: str, work: str, result: str) -> dict[str, int]:
        used = int(self.runner.run(["du", "--summarize", "--block-size=1", root]).split()[0])
        size = _image.disk_size(used)
        disk = os.path.join(work, "disk")
        self.runner.run(["truncate", f"--size={size}", disk])
        self.runner.run(["mkfs.ext4", "-q", "-F", "-L", "root", "-d", root, disk], timeout=BUILD_TIMEOUT)
        self.runner.run(["zstd", "-q", "-9", "-T0", disk, "-o", os.path.join(result, "disk.zst")], timeout=BUILD_TIMEOUT)
        return {"disk_size": size}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kind": {"type": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "required": True},
            "overlays": {"type": "list", "elements": "path", "required": True},
            "mirror": {
                "type": "dict",
                "required": True,
                "options": {"main": {"type": "str", "required": True}, "security": {"type": "str", "required": True}},
            },
            "format": {"type": "str", "choices": ["squashfs", "disk"], "default": "squashfs"},
            "apt_proxy": {"type": "str", "default": ""},
            "suite": {"type": "str", "default": "trixie"},
            "cache_directory": {"type": "path", "default": "/var/cache/bareroot"},
            "refresh": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        check(module.params)
        image = NodeImage(module)
        before = image.built()
        stale = not before or module.params["refresh"]
        name = image.build() if stale and not module.check_mode else "" if stale else before
    except (RunError, ValueError, OSError, EOFError) as error:
        module.fail_json(msg=f"cannot build the {module.params['kind']} image: {error}", **getattr(error, "result", {}))
    module.exit_json(
        changed=name != before or (stale and module.check_mode),
        name=name,
        archive=image.archive(name),
        sizes=image.sizes(name),
        diff={"before": f"{before}\n", "after": f"{name or 'to be built'}\n"},
    )


if __name__ == "__main__":
    main()
