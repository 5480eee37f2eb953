# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be in a name, before it reaches a template, a shell or a file name."""

from __future__ import annotations

import re

# A letter first: dnsmasq reads numbers as lease times.
HOST = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Words that dnsmasq or the nodes' own hosts file take for something else.
RESERVED_HOSTS = frozenset({"confignode", "ignore", "infinite", "localhost"})
MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
IMAGE = re.compile(r"[a-z]+-[0-9a-f]{16}")
KIND = re.compile(r"[a-z]+")


def matches(pattern: re.Pattern[str], value: object) -> bool:
    """Whether the whole of `value` is a string of that pattern."""
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def normal_mac(value: str) -> str:
    """Write a MAC as bareroot does: lower case, colons."""
    return value.strip().lower().replace("-", ":")
