# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image is made of and what it is called. No effects but reading files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import tarfile
from pathlib import Path
from typing import Any

# Raise it when the way of building changes, so that images are built anew.
RECIPE = 3
MANIFEST = "manifest.json"

# Nothing on a node reads these.
EXCLUDED_PATHS = [
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/lib/modules/*/kernel/drivers/bluetooth/*",
    "/usr/lib/modules/*/kernel/drivers/gpu/*",
    "/usr/lib/modules/*/kernel/drivers/iio/*",
    "/usr/lib/modules/*/kernel/drivers/media/*",
    "/usr/lib/modules/*/kernel/drivers/net/wireless/*",
    "/usr/lib/modules/*/kernel/drivers/staging/*",
    "/usr/lib/modules/*/kernel/net/bluetooth/*",
    "/usr/lib/modules/*/kernel/net/mac80211/*",
    "/usr/lib/modules/*/kernel/net/wireless/*",
    "/usr/lib/modules/*/kernel/sound/*",
]


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def overlay_digest(directory: str) -> str:
    """Return one digest of all that is below a directory: paths, permissions and contents."""
    digest = hashlib.sha256(f"{os.stat(directory).st_mode:o}\n".encode())
    for path in sorted(Path(directory).rglob("*")):
        contents = os.readlink(path) if path.is_symlink() else file_sha256(path) if path.is_file() else ""
        digest.update(f"{path.relative_to(directory)} {path.lstat().st_mode:o} {contents}\n".encode())
    return digest.hexdigest()


def inputs_key(inputs: dict[str, Any]) -> str:
    """Name a set of inputs: equal inputs have equal keys, whatever the order of their names."""
    return hashlib.sha256(json.dumps([RECIPE, inputs], sort_keys=True).encode()).hexdigest()


def describe(directory: str, kind: str, suite: str, facts: dict[str, int]) -> tuple[str, bytes]:
    """Return the name of the image whose files are in a directory, after its kind and contents, and its manifest with further facts."""
    files = {
        path.name: {"sha256": file_sha256(path), "size": path.stat().st_size}
        for path in sorted(Path(directory).iterdir())
        if path.is_file()
    }
    contents = json.dumps(files, sort_keys=True).encode()
    name = f"{kind}-{hashlib.sha256(contents).hexdigest()[:16]}"
    manifest = {"name": name, "kind": kind, "suite": suite, "files": files, **facts}
    return name, json.dumps(manifest, indent=2, sort_keys=True).encode()


def pack(directory: str, name: str, manifest: bytes, target: str) -> None:
    """Write a tar of an image's files. The manifest comes last: where it is, the rest is."""
    with tarfile.open(target, "w") as tar:
        for path in sorted(Path(directory).iterdir()):
            entry = tar.gettarinfo(path, f"{name}/{path.name}")
            with open(path, "rb") as stream:
                tar.addfile(_served(entry), stream)
        entry = tarfile.TarInfo(f"{name}/{MANIFEST}")
        entry.size = len(manifest)
        tar.addfile(_served(entry), io.BytesIO(manifest))


def _served(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode, entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0o644, 0, 0, 0, "root", "root"
    return entry


def sizes(manifest: bytes) -> dict[str, int]:
    """Return the size of each file, in bytes."""
    return {name: entry["size"] for name, entry in json.loads(manifest)["files"].items()}


def sources(mirror: dict[str, str], suite: str) -> list[str]:
    """Return apt's source lines."""
    return [
        f"deb {mirror['main']} {suite} main",
        f"deb {mirror['main']} {suite}-updates main",
        f"deb {mirror['security']} {suite}-security main",
    ]


def disk_size(used: int) -> int:
    """Return how large a disk must be for a file system with so many bytes in it: with a third more, in whole 64 MiB."""
    step = 64 << 20
    return (used * 4 // 3 + step - 1) // step * step


def mmdebstrap_argv(root: str, boot: str, params: dict[str, Any]) -> list[str]:
    """Return the command that makes a root in `root`, with the list of its packages, and for a node its kernel's files, in `boot`.

    params: the options of the module node_image.
    """
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--mode=root",
        "--format=directory",
        # The overlay may bring configuration that a package has too.
        "--dpkgopt=force-confold",
        f"--include={','.join(sorted(params['packages']))}",
        '--aptopt=APT::Install-Recommends "false"',
        *([f'--aptopt=Acquire::http::Proxy "{params["apt_proxy"]}"'] if params["apt_proxy"] else []),
        *(f"--dpkgopt=path-exclude={path}" for path in EXCLUDED_PATHS),
        # Before the kernel is installed, so that the one initramfs that is made has our hook.
        *(f'--essential-hook=cp -R --no-dereference --preserve=mode {shlex.quote(overlay)}/. "$1"/' for overlay in params["overlays"]),
        f'--customize-hook=chroot "$1" dpkg-query --show --showformat="\\${{Package}} \\${{Version}}\\n" >{shlex.quote(boot)}/packages.txt',
        '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname "$1"/etc/resolv.conf',
        # Empty, systemd fills it in at the first boot; without the file it could not.
        '--customize-hook=truncate --size=0 "$1"/etc/machine-id',
        # The packages have done what systemd would do again at the first boot of something newer: caches, catalogs, users.
        '--customize-hook=touch "$1"/etc/.updated "$1"/var/.updated',
        # A node's kernel is served; an instance's lies on its disk.
        *(
            [f'--customize-hook=mv "$1"/boot/* {shlex.quote(boot)}/', '--customize-hook=rm -rf "$1"/vmlinuz* "$1"/initrd.img*']
            if params["format"] == "squashfs"
            else []
        ),
        params["suite"],
        root,
        *sources(params["mirror"], params["suite"]),
    ]


def boot_files(names: list[str]) -> dict[str, str]:
    """Pick, from what /boot held, what is served: {served name: name in /boot}. Xen only where there is one."""
    wanted = {"vmlinuz": ("vmlinuz-", ""), "initrd": ("initrd.img-", ""), "xen.gz": ("xen-", ".gz"), "xen.efi": ("xen-", ".efi")}
    found = {}
    for served, (prefix, suffix) in wanted.items():
        candidates = [name for name in names if name.startswith(prefix) and name.endswith(suffix)]
        if len(candidates) > 1:
            raise ValueError(f"more than one {served} in /boot: {', '.join(sorted(candidates))}")
        if candidates:
            found[served] = candidates[0]
    missing = [name for name in ("vmlinuz", "initrd") if name not in found]
    if missing:
        raise ValueError(f"no {' and no '.join(missing)} in /boot")
    return found
