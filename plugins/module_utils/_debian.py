# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this machine's apt gets Debian from."""

from __future__ import annotations

INDEX_TARGETS = [
    "apt-get",
    "indextargets",
    "--format",
    "$(RELEASE) $(COMPONENT) $(REPO_URI)",
    "Created-By: Packages",
]


def mirrors(index_targets: str, codename: str) -> dict[str, str]:
    """Pick the archive's and the security archive's addresses from apt's own list.

    index_targets: output of INDEX_TARGETS. codename: the release this machine runs, such as "trixie".
    Returns {"main": URL, "security": URL}, without a trailing slash; a kind that apt does not use is left out.
    """
    wanted = {codename: "main", f"{codename}-security": "security"}
    found: dict[str, str] = {}
    for line in index_targets.splitlines():
        release, component, uri = line.split(" ", 2)
        if release in wanted and component == "main":
            found.setdefault(wanted[release], uri.rstrip("/"))
    return found


def codename_of(os_release: str) -> str:
    """Return VERSION_CODENAME of the text of /etc/os-release, or an empty string."""
    for line in os_release.splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip('"')
    return ""
