# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster's configuration must hold, and what differs. Pure functions.

In ids of ours a dot parts what is joined: no host name has one, so no two ids can be equal.
"""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ._fencing import AGENT, fence_options
from ._personality import digest
from ._storage_layout import HALVES
from ._timers import DEMOTION, EXPORTS, FENCE_AGENT, FENCING, PROMOTION

# Every element whose id begins so is ours, and no other.
OURS = "bareroot-"
SECTIONS = ("crm_config", "rsc_defaults", "op_defaults", "resources", "constraints")
# The agent's parameter, and its older name.
SECRETS = {"password", "passwd"}

QUERY = ["cibadmin", "--query"]
REPLACE = ["cibadmin", "--replace", "--scope", "configuration", "--xml-pipe"]

OPTIONS = {
    "stonith-enabled": "true",
    "stonith-action": "reboot",
    "stonith-timeout": f"{FENCING}s",
    "no-quorum-policy": "freeze",
    "symmetric-cluster": "false",
    "dc-deadtime": "2min",
    "cluster-recheck-interval": "2min",
}
DEFAULTS = {"resource-stickiness": "1000", "failure-timeout": "10min"}
CLONE = {
    "promotable": "true",
    "promoted-max": "1",
    "promoted-node-max": "1",
    "clone-max": "2",
    "clone-node-max": "1",
    # A notification is a round of the agent on both sides before and after each step, and instances wait for each. What the agent does
    # in them its monitor does as well, and DRBD's own handlers see to fencing.
    "notify": "false",
    "interleave": "true",
}
# (name, interval, timeout, role): two monitors of one resource must differ in their interval.
DRBD_OPERATIONS = (
    ("monitor", "29s", "60s", "Promoted"),
    ("monitor", "31s", "60s", "Unpromoted"),
    ("start", "0s", "240s", ""),
    ("stop", "0s", "120s", ""),
    ("promote", "0s", f"{PROMOTION}s", ""),
    ("demote", "0s", f"{DEMOTION}s", ""),
)
HALF_OPERATIONS = (("monitor", "30s", "60s", ""), ("start", "0s", f"{EXPORTS}s", ""), ("stop", "0s", f"{EXPORTS}s", ""))
FENCE_OPERATIONS = (("monitor", "60s", "60s", ""), ("start", "0s", "60s", ""))
# Less than the stickiness: a half that moved does not move back by itself.
PREFERRED = "100"


@dataclass(frozen=True)
class Plan:
    """What to write, the ids of what differs, and our elements before and after, without secrets."""

    configuration: str
    ids: list[str]
    before: str
    after: str


def wanted(members: Sequence[str], storage_nodes: Sequence[str], fences: Iterable[Mapping[str, str]]) -> ET.Element:
    """Return a configuration of nothing but our elements. Raises ValueError where the nodes are no pair that can be fenced."""
    bmcs = {fence["node"]: fence for fence in fences if fence["address"]}
    _check(members, storage_nodes, bmcs)
    configuration = empty()
    sections = {section.tag: section for section in configuration}
    sections["crm_config"].append(_values("cluster_property_set", f"{OURS}options", OPTIONS))
    sections["rsc_defaults"].append(_values("meta_attributes", f"{OURS}defaults", DEFAULTS))
    for half, preferred in zip(HALVES, storage_nodes, strict=True):
        sections["resources"].extend([_drbd(half), _half(half)])
        sections["constraints"].extend(_half_constraints(half, storage_nodes, preferred))
    for node in members:
        sections["resources"].append(_fence(bmcs[node]))
        # A node that is to be fenced cannot be trusted to do it.
        others = [other for other in members if other != node]
        sections["constraints"].extend(_location(f"{OURS}fence-{node}", other) for other in others)
    return configuration


def _check(members: Sequence[str], storage_nodes: Sequence[str], bmcs: Mapping[str, Mapping[str, str]]) -> None:
    if len(set(storage_nodes)) != len(HALVES) or len(storage_nodes) != len(HALVES):
        raise ValueError(f"storage_nodes is [{', '.join(storage_nodes)}]: name the two StorageNodes of the pair, such as [sn1, sn2]")
    strangers = [node for node in storage_nodes if node not in members]
    if strangers:
        raise ValueError(f"{', '.join(strangers)} of storage_nodes is not in members: name all voters there, such as [cn1, sn1, sn2]")
    unfenced = [node for node in members if node not in bmcs]
    if unfenced:
        raise ValueError(
            f"no BMC to fence {', '.join(unfenced)} with: every voter needs its node_bmc_address, such as 10.3.0.21, "
            "or the others could never be sure that it is off"
        )


def empty() -> ET.Element:
    """Return a configuration without anything in it."""
    configuration = ET.Element("configuration")
    configuration.extend(ET.Element(section) for section in SECTIONS)
    return configuration


def _values(tag: str, id_: str, values: Mapping[str, str]) -> ET.Element:
    element = ET.Element(tag, {"id": id_})
    element.extend(ET.Element("nvpair", {"id": f"{id_}.{name}", "name": name, "value": value}) for name, value in values.items())
    return element


def _primitive(id_: str, agent: Mapping[str, str], operations: Iterable[tuple[str, str, str, str]]) -> ET.Element:
    primitive = ET.Element("primitive", {"id": id_, **agent})
    parent = ET.SubElement(primitive, "operations")
    for name, interval, timeout, role in operations:
        attributes = {"id": f"{id_}.{name}.{interval}", "name": name, "interval": interval, "timeout": timeout}
        ET.SubElement(parent, "op", {**attributes, **({"role": role} if role else {})})
    return primitive


def _drbd(half: str) -> ET.Element:
    id_ = f"{OURS}drbd-{half}"
    primitive = _primitive(id_, {"class": "ocf", "provider": "linbit", "type": "drbd"}, DRBD_OPERATIONS)
    # A peer that comes back without having missed anything is not resynced: DRBD's own handler would never lift its ban then.
    parameters = {"drbd_resource": half, "unfence_if_all_uptodate": "true", "ignore_missing_notifications": "true"}
    primitive.append(_values("instance_attributes", f"{id_}.parameters", parameters))
    clone = ET.Element("clone", {"id": f"{id_}-clone"})
    clone.extend([_values("meta_attributes", f"{id_}-clone.meta", CLONE), primitive])
    return clone


def _half(half: str) -> ET.Element:
    id_ = f"{OURS}{half}"
    primitive = _primitive(id_, {"class": "ocf", "provider": "bareroot", "type": "half"}, HALF_OPERATIONS)
    primitive.append(_values("instance_attributes", f"{id_}.parameters", {"half": half}))
    return primitive


def _fence(fence: Mapping[str, str]) -> ET.Element:
    id_ = f"{OURS}fence-{fence['node']}"
    primitive = _primitive(id_, {"class": "stonith", "type": AGENT}, FENCE_OPERATIONS)
    parameters = {**fence_options(fence), "pcmk_host_list": fence["node"], "pcmk_reboot_timeout": f"{FENCE_AGENT}s"}
    primitive.append(_values("instance_attributes", f"{id_}.parameters", parameters))
    return primitive


def _half_constraints(half: str, nodes: Iterable[str], preferred: str) -> Iterable[ET.Element]:
    id_, clone = f"{OURS}{half}", f"{OURS}drbd-{half}-clone"
    for node in nodes:
        # Only StorageNodes have what a half needs: nobody else is even asked whether it runs there.
        yield _location(clone, node, discovery="exclusive")
        yield _location(id_, node, PREFERRED if node == preferred else "0", discovery="exclusive")
    together = {"id": f"{id_}.with-primary", "score": "INFINITY", "rsc": id_, "with-rsc": clone, "with-rsc-role": "Promoted"}
    yield ET.Element("rsc_colocation", together)
    actions = {"first": clone, "first-action": "promote", "then": id_, "then-action": "start"}
    yield ET.Element("rsc_order", {"id": f"{id_}.after-promote", "kind": "Mandatory", **actions})


def _location(resource: str, node: str, score: str = "0", discovery: str = "") -> ET.Element:
    attributes = {"id": f"{resource}.on.{node}", "rsc": resource, "node": node, "score": score}
    return ET.Element("rsc_location", {**attributes, **({"resource-discovery": discovery} if discovery else {})})


def read(text: str) -> ET.Element:
    """Return the configuration in what the query printed. Raises ValueError where there is none."""
    try:
        # Ours to trust: it is the cluster's own. Comments of an administrator stay.
        parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))  # noqa: S314
        configuration = ET.fromstring(text, parser).find("configuration")  # noqa: S314
    except ET.ParseError as error:
        raise ValueError(f"{' '.join(QUERY)} printed no XML: {error}") from error
    if configuration is None:
        raise ValueError(f"{' '.join(QUERY)} printed no <configuration>")
    return configuration


def plan(present: ET.Element, wanted: ET.Element) -> Plan:
    """Replace those elements of ours that differ, and touch no other."""
    result = copy.deepcopy(present)
    ids: set[str] = set()
    for desired in wanted:
        section = result.find(desired.tag)
        if section is None and len(desired):
            section = ET.SubElement(result, desired.tag)
        if section is not None:
            ids |= _merge(section, desired)
    return Plan(ET.tostring(result, encoding="unicode"), sorted(ids), describe(present), describe(result))


def _merge(section: ET.Element, desired: ET.Element) -> set[str]:
    """Make our elements of a section the desired ones, and return the ids of what differed."""
    old, new = ours(section), ours(desired)
    for id_ in old.keys() - new.keys():
        section.remove(old[id_])
    different = {id_ for id_ in new if id_ not in old or _normal_text(old[id_]) != _normal_text(new[id_])}
    for id_ in new:
        if id_ not in old:
            section.append(new[id_])
        elif id_ in different:
            section[list(section).index(old[id_])] = new[id_]
    return different | (old.keys() - new.keys())


def ours(section: ET.Element) -> dict[str, ET.Element]:
    """Return our elements of a section by id."""
    return {element.attrib["id"]: element for element in section if element.get("id", "").startswith(OURS)}


def _normal(element: ET.Element) -> ET.Element:
    """Return an element without what has no meaning in our elements: the order of attributes and of children, space, comments."""
    normal = ET.Element(element.tag, dict(sorted(element.attrib.items())))
    normal.extend(sorted((_normal(child) for child in element if isinstance(child.tag, str)), key=ET.tostring))
    return normal


def _normal_text(element: ET.Element) -> bytes:
    return ET.tostring(_normal(element))


def describe(configuration: ET.Element) -> str:
    """Show our elements, with digests for passwords."""
    shown = ET.Element(configuration.tag)
    for name in SECTIONS:
        section = configuration.find(name)
        elements = ours(section) if section is not None else {}
        if elements:
            ET.SubElement(shown, name).extend(_normal(elements[id_]) for id_ in sorted(elements))
    for pair in shown.iter("nvpair"):
        if pair.get("name") in SECRETS:
            pair.set("value", digest(pair.get("value", "").encode()))
    ET.indent(shown)
    return f"{ET.tostring(shown, encoding='unicode')}\n" if len(shown) else ""
