# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this machine's apt gets Debian from."""

from __future__ import annotations

INDEX_TARGETS = [
    "apt-get",
    "indextargets",
    "--format",
    "$(CODENAME)|$(COMPONENT)|$(LABEL)|$(REPO_URI)",
    "Created-By: Packages",
]
LABELS = {"Debian": "main", "Debian-Security": "security"}


def mirrors(index_targets: str) -> dict[str, str]:
    """Pick the archive's and the security archive's addresses from apt's own list.

    index_targets: output of INDEX_TARGETS. Their Release files' labels tell Debian's archives from others'.
    Returns {"main": URL, "security": URL}, without a trailing slash; a kind that apt does not use is left out.
    """
    found: dict[str, str] = {}
    for line in index_targets.splitlines():
        codename, component, label, uri = (line.split("|", 3) + [""] * 4)[:4]
        kind = LABELS.get(label)
        # Suites such as updates and backports live in the archive too, but may come from elsewhere.
        if kind and component == "main" and ("-" not in codename or kind == "security"):
            found.setdefault(kind, uri.rstrip("/"))
    return found
