# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ConfigNode serves over HTTP, as a node that booted from it reads it."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from ansible.module_utils.urls import open_url

from . import _image

NODE_FACTS = "/etc/bareroot/node.json"
TIMEOUT = 60


def booted_from() -> str:
    """Return the address of the ConfigNode that this machine booted from."""
    with open(NODE_FACTS, encoding="utf-8") as stream:
        return json.load(stream)["config_node"]


def open_path(base: str, path: str) -> Any:
    """Open what is served below `base`, such as http://10.0.0.1."""
    return open_url(f"{base}/{path}", timeout=TIMEOUT, use_proxy=False)


def fetch_image_file(base: str, path: str, target: str, name: str, sha256: str) -> None:
    """Write what is served to a file. Raises ValueError, and leaves no file, where the image `name` has another digest there."""
    with open_path(base, path) as answer, open(target, "wb") as stream:
        shutil.copyfileobj(answer, stream, 1 << 20)
    digest = _image.file_sha256(target)
    if digest != sha256:
        os.unlink(target)
        raise ValueError(f"{name} has the digest {digest} instead of {sha256}: is it damaged on the ConfigNode?")
