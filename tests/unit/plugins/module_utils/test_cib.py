from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _cib

MEMBERS = ["cn1", "sn1", "sn2"]
PAIR = ["sn1", "sn2"]
PASSWORDS = {"cn1": "first-secret", "sn1": 'second<&"secret', "sn2": "third-secret"}
CIB = """\
<cib validate-with="pacemaker-4.0" epoch="7">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
        <nvpair id="cib-bootstrap-options-dc-version" name="dc-version" value="3.0.0"/>
      </cluster_property_set>
    </crm_config>
    <nodes><node id="1" uname="cn1"/><node id="2" uname="sn1"/><node id="3" uname="sn2"/></nodes>
    <!-- an administrator's note -->
    <resources><primitive id="mail" class="systemd" type="postfix"/></resources>
    <constraints>
      <rsc_location id="cli-ban-mail-on-sn1" rsc="mail" role="Started" node="sn1" score="-INFINITY"/>
      <rsc_location id="drbd-fence-by-handler-half0-bareroot-drbd-half0-clone" rsc="mail" role="Promoted" node="sn2" score="-INFINITY"/>
    </constraints>
  </configuration>
  <status/>
</cib>
"""
NEEDED = {"crm_config", "rsc_defaults", "resources", "constraints"}


def fence(node, **values):
    return {"node": node, "address": f"bmc-{node}", "user": "admin", "password": PASSWORDS[node], "cipher": "", **values}


def wanted(members=MEMBERS, storage_nodes=PAIR, fences=None):
    return _cib.wanted(members, storage_nodes, [fence(node) for node in members] if fences is None else fences)


def parse(text):
    return ET.fromstring(text)  # noqa: S314


def applied(configuration):
    """Return the configuration after a plan was carried out."""
    return parse(_cib.plan(configuration, wanted()).configuration)


def by_id(configuration, id_):
    (element,) = [element for element in configuration.iter() if element.get("id") == id_]
    return element


def values(element, path):
    """Return the names and values in an element's set of them."""
    return {pair.get("name"): pair.get("value") for pair in element.findall(f"{path}nvpair")}


def operations(resource):
    """Return {(name, role): (interval, timeout)}."""
    found = resource.findall("operations/op")
    return {(op.get("name"), op.get("role")): (op.get("interval"), op.get("timeout")) for op in found}


def locations(configuration, resource):
    """Return {node: (score, discovery)} of a resource."""
    found = configuration.findall(f"constraints/rsc_location[@rsc='{resource}']")
    return {location.get("node"): (location.get("score"), location.get("resource-discovery")) for location in found}


def unprefixed(configuration):
    """Return what is not ours, section by section."""
    return [
        ET.tostring(element).strip()
        for section in configuration
        for element in (section if section.tag in _cib.SECTIONS else [section])
        if not element.get("id", "").startswith("bareroot-")
    ]


def test_the_clusters_options_and_defaults():
    options = wanted().find("crm_config/cluster_property_set")
    assert options.get("id") == "bareroot-options"
    assert values(options, "") == {
        "stonith-enabled": "true",
        "stonith-action": "reboot",
        "stonith-timeout": "120s",
        "no-quorum-policy": "freeze",
        "symmetric-cluster": "false",
        "dc-deadtime": "2min",
        "cluster-recheck-interval": "2min",
    }
    assert values(wanted(), "rsc_defaults/meta_attributes/") == {"resource-stickiness": "1000", "failure-timeout": "10min"}


@pytest.mark.parametrize("half", ["half0", "half1"])
def test_the_drbd_resource_of_a_half_is_promoted_on_one_of_two_nodes(half):
    clone = by_id(wanted(), f"bareroot-drbd-{half}-clone")
    assert clone.tag == "clone"
    assert values(clone, "meta_attributes/") == {
        "promotable": "true",
        "promoted-max": "1",
        "promoted-node-max": "1",
        "clone-max": "2",
        "clone-node-max": "1",
        "notify": "false",
        "interleave": "true",
    }
    drbd = clone.find("primitive")
    assert drbd.attrib == {"id": f"bareroot-drbd-{half}", "class": "ocf", "provider": "linbit", "type": "drbd"}
    assert values(drbd, "instance_attributes/") == {
        "drbd_resource": half,
        "unfence_if_all_uptodate": "true",
        "ignore_missing_notifications": "true",
    }
    assert operations(drbd) == {
        ("monitor", "Promoted"): ("29s", "60s"),
        ("monitor", "Unpromoted"): ("31s", "60s"),
        ("start", None): ("0s", "240s"),
        ("stop", None): ("0s", "120s"),
        ("promote", None): ("0s", "90s"),
        ("demote", None): ("0s", "90s"),
    }


@pytest.mark.parametrize("half", ["half0", "half1"])
def test_a_half_runs_where_its_drbd_resource_was_promoted(half):
    configuration, clone = wanted(), f"bareroot-drbd-{half}-clone"
    unit = by_id(configuration, f"bareroot-{half}")
    assert unit.attrib == {"id": f"bareroot-{half}", "class": "ocf", "provider": "bareroot", "type": "half"}
    assert values(unit, "instance_attributes/") == {"half": half}
    assert operations(unit) == {("monitor", None): ("30s", "60s"), ("start", None): ("0s", "180s"), ("stop", None): ("0s", "180s")}
    together = configuration.find(f"constraints/rsc_colocation[@rsc='bareroot-{half}']").attrib
    assert {**together, "id": ""} == {
        "id": "",
        "rsc": f"bareroot-{half}",
        "with-rsc": clone,
        "with-rsc-role": "Promoted",
        "score": "INFINITY",
    }
    after = configuration.find(f"constraints/rsc_order[@then='bareroot-{half}']").attrib
    assert {**after, "id": ""} == {
        "id": "",
        "first": clone,
        "first-action": "promote",
        "then": f"bareroot-{half}",
        "then-action": "start",
        "kind": "Mandatory",
    }


@pytest.mark.parametrize(("half", "scores"), [("half0", ("100", "0")), ("half1", ("0", "100"))])
def test_each_half_prefers_another_storage_node_and_is_looked_for_nowhere_else(half, scores):
    configuration = wanted()
    assert locations(configuration, f"bareroot-{half}") == dict(zip(PAIR, ((score, "exclusive") for score in scores), strict=True))
    assert locations(configuration, f"bareroot-drbd-{half}-clone") == dict.fromkeys(PAIR, ("0", "exclusive"))


def test_the_first_storage_node_is_the_one_that_is_named_first():
    assert locations(wanted(storage_nodes=["sn2", "sn1"]), "bareroot-half0") == {"sn2": ("100", "exclusive"), "sn1": ("0", "exclusive")}


@pytest.mark.parametrize("node", MEMBERS)
def test_a_node_is_fenced_by_every_other_one_and_never_by_itself(node):
    assert locations(wanted(), f"bareroot-fence-{node}") == {other: ("0", None) for other in MEMBERS if other != node}


def test_a_fence_device_is_told_its_bmc_and_whom_it_fences():
    device = by_id(wanted(), "bareroot-fence-sn1")
    assert device.attrib == {"id": "bareroot-fence-sn1", "class": "stonith", "type": "fence_ipmilan"}
    assert values(device, "instance_attributes/") == {
        "ip": "bmc-sn1",
        "username": "admin",
        "password": PASSWORDS["sn1"],
        "lanplus": "1",
        "method": "onoff",
        "power_wait": "2",
        "pcmk_host_list": "sn1",
        "pcmk_reboot_timeout": "90s",
    }
    assert operations(device) == {("monitor", None): ("60s", "60s"), ("start", None): ("0s", "60s")}


def test_a_fence_device_is_told_a_cipher_suite_only_where_there_is_one():
    fences = [fence("cn1"), fence("sn1", cipher="3"), fence("sn2")]
    told = {node: values(by_id(wanted(fences=fences), f"bareroot-fence-{node}"), "instance_attributes/") for node in MEMBERS}
    assert {node: parameters.get("cipher") for node, parameters in told.items()} == {"cn1": None, "sn1": "3", "sn2": None}


@given(st.lists(st.from_regex(r"[a-z](-?[a-z0-9]|-on-|-parameters|-clone){0,3}", fullmatch=True), min_size=2, max_size=5, unique=True))
def test_every_id_is_ours_unlike_all_others_and_one_that_xml_allows(members):
    fences = [{"node": node, "address": "a", "user": "u", "password": "p", "cipher": "3"} for node in members]
    configuration = _cib.wanted(members, members[:2], fences)
    ids = [element.attrib["id"] for element in configuration.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"bareroot-[a-z][A-Za-z0-9._-]*", id_) for id_ in ids)


def test_a_member_without_a_bmc_is_an_error_that_names_it_and_the_variable():
    with pytest.raises(ValueError, match=r"cn1, sn2 .*node_bmc_address, such as 10\.3\.0\.21"):
        wanted(fences=[fence("cn1", address=""), fence("sn1")])


@pytest.mark.parametrize("storage_nodes", [[], ["sn1"], ["sn1", "sn1"], ["sn1", "sn1", "sn2"], ["cn1", "sn1", "sn2"]])
def test_anything_but_two_storage_nodes_is_an_error(storage_nodes):
    with pytest.raises(ValueError, match=re.escape(f"[{', '.join(storage_nodes)}]: name the two StorageNodes")):
        wanted(storage_nodes=storage_nodes)


def test_a_storage_node_that_is_no_voter_is_an_error():
    with pytest.raises(ValueError, match=r"^sn9 of storage_nodes is not in members"):
        wanted(storage_nodes=["sn1", "sn9"])


def test_what_was_planned_is_there_and_then_nothing_differs():
    fresh = _cib.read(CIB)
    plan = _cib.plan(fresh, wanted())
    assert {"bareroot-options", "bareroot-defaults", "bareroot-half0", "bareroot-half0.on.sn1", "bareroot-fence-cn1"} <= set(plan.ids)
    assert plan.ids == sorted(element.get("id") for section in wanted() for element in section)
    assert plan.before == ""
    again = _cib.plan(parse(plan.configuration), wanted())
    assert again.ids == []
    assert again.before == again.after == plan.after


def test_what_is_not_ours_stays_as_it_is_wherever_it_is():
    before = unprefixed(_cib.read(CIB))
    assert any(b"an administrator's note" in text for text in before)
    written = _cib.read(f"<cib>{_cib.plan(_cib.read(CIB), wanted()).configuration}</cib>")
    assert [text for text in unprefixed(written) if text != b"<rsc_defaults />"] == before


def test_planning_leaves_what_it_was_given_alone():
    present = applied(_cib.read(CIB))
    by_id(present, "bareroot-half0").set("type", "other")
    before = ET.tostring(present)
    assert _cib.plan(present, wanted()).ids == ["bareroot-half0"]
    assert ET.tostring(present) == before


def test_only_sections_that_are_needed_are_added():
    bare = parse("<configuration><crm_config/><nodes/><resources/><constraints/></configuration>")
    assert {section.tag for section in applied(bare)} == NEEDED | {"nodes"}


def test_an_order_that_means_nothing_makes_no_difference():
    present = applied(_cib.read(CIB))
    for element in present.iter():
        attributes = dict(reversed(element.attrib.items()))
        element.attrib.clear()
        element.attrib.update(attributes)
        element[:] = list(reversed(element))
    before = ET.tostring(present)
    plan = _cib.plan(present, wanted())
    assert plan.ids == []
    assert plan.before == plan.after
    assert plan.configuration.encode() == before


def test_space_and_comments_make_no_difference():
    text = ET.tostring(applied(_cib.read(CIB)), encoding="unicode")
    assert _cib.plan(_cib.read(f"<cib>{text.replace('<operations>', '<operations> <!-- ours --> ')}</cib>"), wanted()).ids == []


@pytest.mark.parametrize(
    ("id_", "attribute", "owner"),
    [
        ("bareroot-options.no-quorum-policy", "value", "bareroot-options"),
        ("bareroot-defaults.resource-stickiness", "value", "bareroot-defaults"),
        ("bareroot-drbd-half0.monitor.29s", "timeout", "bareroot-drbd-half0-clone"),
        ("bareroot-half1", "type", "bareroot-half1"),
        ("bareroot-fence-sn1.parameters.password", "value", "bareroot-fence-sn1"),
        ("bareroot-half0.on.sn1", "score", "bareroot-half0.on.sn1"),
    ],
)
def test_what_differs_is_put_back_in_its_place_and_nothing_else_is(id_, attribute, owner):
    good = applied(_cib.read(CIB))
    present = copy.deepcopy(good)
    by_id(present, id_).set(attribute, "changed")
    plan = _cib.plan(present, wanted())
    assert plan.ids == [owner]
    assert plan.before != plan.after
    assert plan.configuration == ET.tostring(good, encoding="unicode")


def test_what_was_added_inside_of_ours_is_removed():
    present = applied(_cib.read(CIB))
    target = ET.SubElement(by_id(present, "bareroot-half0"), "meta_attributes", {"id": "bareroot-half0-meta_attributes"})
    ET.SubElement(target, "nvpair", {"id": "bareroot-half0-meta_attributes-target-role", "name": "target-role", "value": "Stopped"})
    plan = _cib.plan(present, wanted())
    assert plan.ids == ["bareroot-half0"]
    assert "target-role" in plan.before
    assert "target-role" not in plan.configuration


@pytest.mark.parametrize("section", _cib.SECTIONS)
def test_ours_that_is_no_longer_wanted_is_removed_from_every_section(section):
    present = applied(_cib.read(CIB))
    parent = present.find(section) if section != "op_defaults" else ET.SubElement(present, section)
    parent.insert(0, ET.Element("old", {"id": "bareroot-old"}))
    parent.insert(0, ET.Element("foreign", {"id": "not-bareroot-old"}))
    plan = _cib.plan(present, wanted())
    assert plan.ids == ["bareroot-old"]
    assert parse(plan.configuration).find(f"{section}/foreign") is not None
    assert parse(plan.configuration).find(f"{section}/old") is None


def test_no_password_is_shown_but_that_one_changed_is():
    present = applied(_cib.read(CIB))
    by_id(present, "bareroot-fence-sn1.parameters.password").set("value", "old-secret")
    plan = _cib.plan(present, wanted())
    shown = plan.before + plan.after
    assert not [secret for secret in ["old-secret", "second", "first-secret", "third-secret"] if secret in shown]
    (old,) = set(plan.before.splitlines()) - set(plan.after.splitlines())
    (new,) = set(plan.after.splitlines()) - set(plan.before.splitlines())
    assert re.search(r'name="password" value="sha256:[0-9a-f]{16}"', old)
    assert re.search(r'name="password" value="sha256:[0-9a-f]{16}"', new)


@pytest.mark.parametrize("name", ["password", "passwd"])
def test_a_password_is_hidden_under_either_name(name):
    present = applied(_cib.read(CIB))
    by_id(present, "bareroot-fence-sn1.parameters.password").attrib.update({"name": name, "value": "old-secret"})
    assert "old-secret" not in _cib.describe(present)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "printed no XML", id="nothing"),
        pytest.param("<cib><configuration>", "printed no XML", id="cut"),
        pytest.param("<cib><status/></cib>", "printed no <configuration>", id="no-configuration"),
    ],
)
def test_what_is_no_configuration_is_an_error(text, problem):
    with pytest.raises(ValueError, match=f"^cibadmin --query {problem}"):
        _cib.read(text)
