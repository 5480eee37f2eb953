"""How long `boot_tree` takes to render and write 10 to 10 000 nodes, and how much memory: first run, then a second that changes nothing.

Usage: .venv/bin/python tests/bench/boot_tree.py [NODES ...]
"""

from __future__ import annotations

import grp
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures

PROJECT = Path(__file__).parents[2]
SIZES = (10, 100, 1000, 10_000)
# {nodes: seconds that a run may take}
LIMITS = {1000: 2}
IMAGE = "xen-0123456789abcdef"


def prepare(directory: Path) -> None:
    """Lay out what the module needs: a published image and a CA."""
    published = directory / "srv" / "images" / IMAGE
    published.mkdir(parents=True)
    files = {name: {"sha256": "0" * 64, "size": 1} for name in ("root.squashfs", "xen")}
    (published / "manifest.json").write_text(json.dumps({"files": files}))
    (published.parent / "current.json").write_text(json.dumps({"xen": IMAGE}))
    (directory / "state").mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "state" / "ca")], check=True)  # noqa: S607 - whichever is installed


def node(number: int) -> dict[str, object]:
    mac = f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    common = {"name": f"hn{number}", "role": "hardware", "mac": mac, "image_kind": "xen", "root": "ram"}
    return {**common, "dom0_memory": 1024, "authorized_keys": ["ssh-ed25519 AAAA admin"]}


def run(directory: Path, count: int) -> float:
    """Run the module as Ansible does, in a process of its own, and return its seconds."""
    arguments = {
        "nodes": [node(number) for number in range(count)],
        "server": "10.0.0.1",
        "network": "10.0.0.0/16",
        "directory": str(directory / "srv"),
        "state_directory": str(directory / "state"),
        "reader_group": grp.getgrgid(os.getgid()).gr_name,
    }
    (directory / "arguments.json").write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "plugins.modules.boot_tree", str(directory / "arguments.json")],
        cwd=PROJECT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - started


def main() -> None:
    turns = []
    for count in [int(argument) for argument in sys.argv[1:]] or SIZES:
        with tempfile.TemporaryDirectory() as name:
            prepare(Path(name))
            first, second = run(Path(name), count), run(Path(name), count)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        turns.append({"nodes": count, "first_s": first, "second_s": second, "peak_mib": peak})
        limit = figures.verdict(first, LIMITS.get(count))
        print(f"boot_tree, {count} nodes: first run {first:.2f} s, second {second:.2f} s, {peak} MiB so far{limit}", flush=True)
    figures.keep("boot_tree", turns)


if __name__ == "__main__":
    main()
