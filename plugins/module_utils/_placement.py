# SPDX-License-Identifier: GPL-3.0-or-later
"""On which half, and so on which StorageNode, each instance has its volumes. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import _volumes

Infos = Mapping[str, Mapping[str, Any] | None]
# An instance's volumes: its name, the half, the StorageNode that serves the half.
Place = tuple[str, str, str]


class Site:
    """What the StorageNodes that answered say: who serves which half, how much room it has, where volumes are."""

    def __init__(self, infos: Infos) -> None:
        answers = {node: info for node, info in infos.items() if info and "pools" in info}
        self.answered = sorted(answers)
        self.silent = sorted(set(infos) - set(answers))
        self.servers: dict[str, str] = {}
        self.room: dict[str, int] = {}
        self._found: dict[str, dict[str, str]] = {}
        for node in self.answered:
            for pool in answers[node]["pools"]:
                self._serve(pool["half"], node)
                self.room[pool["half"]] = pool["free"]
            for volume in answers[node]["volumes"]:
                self._found.setdefault(volume["name"], {})[volume["half"]] = node

    def _serve(self, half: str, node: str) -> None:
        other = self.servers.setdefault(half, node)
        if other != node:
            raise ValueError(f"{half} is served by {other} and by {node}: it may just be moving; run this again when only one serves it")

    def find(self, volume: str) -> dict[str, str]:
        """Return where volumes of that name are: {half: StorageNode}."""
        return self._found.get(volume, {})

    def require_all_halves(self, name: str) -> None:
        """Refuse to take a volume that was not found for one that does not exist."""
        missing = [half for half in _volumes.HALVES if half not in self.servers]
        if not missing:
            return
        if self.silent:
            remedy = f"{', '.join(self.silent)} did not answer or was not asked: see that it is up, and run this without --limit"
        else:
            remedy = f"see why none of {', '.join(self.answered) or 'the StorageNodes'} does: is bareroot-storage.service running there?"
        raise ValueError(
            f"{' and '.join(missing)}: no StorageNode that answered serves it, and volumes of {name} may lie there, "
            f"so that nothing is done. {remedy}"
        )

    def take_roomiest(self, size: int) -> str:
        """Return the half with the most free room, and count on that much less of it."""
        half = max(sorted(self.room), key=lambda half: self.room[half])
        self.room[half] -= size
        return half


def place(instances: Iterable[Mapping[str, Any]], infos: Infos, check_mode: bool = False) -> list[Place]:
    """Return the places of the instances' volumes, in the instances' order.

    One that is absent has a place for each StorageNode on which it still has volumes. infos: what volume_info returned on each
    StorageNode; nothing for one that could not be asked.
    """
    site = Site(infos)
    # A new site: before the data disks are laid out nothing can be said, and that is no error.
    if check_mode and not site.servers:
        return []
    places: list[Place] = []
    for instance in instances:
        if instance["state"] == "absent":
            places += _still_there(site, instance)
        else:
            half = _half(site, instance)
            places.append((instance["name"], half, site.servers[half]))
    return places


def _half(site: Site, instance: Mapping[str, Any]) -> str:
    name = instance["name"]
    root, seed = _only(site, f"{name}-root"), _only(site, f"{name}-seed")
    if root and seed and site.servers[root] != site.servers[seed]:
        # The root's StorageNode would make another one, of the same address.
        raise ValueError(
            f"{name}-root is in {root} on {site.servers[root]}, but {name}-seed in {seed} on {site.servers[seed]}: "
            f"remove {name}-seed there with the module volume; it is made again beside {name}-root"
        )
    if root:
        return root
    site.require_all_halves(name)
    return seed or site.take_roomiest(_volumes.parse_size(instance["disk_size"]))


def _only(site: Site, volume: str) -> str:
    """Return the half that has a volume; empty where none has."""
    found = site.find(volume)
    if len(found) > 1:
        places = " and in ".join(f"{half} on {found[half]}" for half in sorted(found))
        raise ValueError(
            f"{volume} is in {places}, and there must be one: see which is used, and remove the other there with the module volume"
        )
    return next(iter(found), "")


def _still_there(site: Site, instance: Mapping[str, Any]) -> list[Place]:
    name = instance["name"]
    found = {**site.find(f"{name}-seed"), **site.find(f"{name}-root")}
    # Who allows to delete them wants to know that they are gone.
    if not found and instance["delete_volumes"]:
        site.require_all_halves(name)
    # One that is in both halves of one StorageNode is one call there.
    halves = {found[half]: half for half in sorted(found, reverse=True)}
    return [(name, halves[node], node) for node in sorted(halves)]
