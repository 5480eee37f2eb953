from __future__ import annotations

import copy
import json
import os
import re
import uuid

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_public_identity, load_ssh_public_key
from hypothesis import example, given
from hypothesis import strategies as st

from plugins.module_utils import _identity, _instance_records

CA = _identity.new_host_key()
OTHER_CA = _identity.new_host_key()
MAC = "52:54:00:00:00:01"
# Of the volumes: shelf 1 to shelf 999, with 255 slots each.
ADDRESSES = 999 * 255


def instance(name="web1", mac="", address=""):
    return {"name": name, "mac": mac, "address": address}


def allocate(*instances, records=None, ca=CA):
    return _instance_records.allocate(list(instances), records or {}, ca)


def test_an_instance_gets_all_that_it_needs():
    record = allocate(instance(address="10.2.0.10/24"))["instances"]["web1"]
    assert record.keys() == {"uuid", "host_key", "mac", "address", "volumes", "certificate", "certified"}
    assert str(uuid.UUID(record["uuid"])) == record["uuid"]
    assert re.fullmatch("00:16:3e(:[0-9a-f]{2}){3}", record["mac"])
    assert record["volumes"] == {"root": "1.0", "seed": "1.1"}
    certificate = load_ssh_public_identity(record["certificate"].encode())
    certificate.verify_cert_signature()
    assert certificate.signature_key() == load_ssh_public_key(_identity.public_half(CA).encode())
    assert certificate.public_key() == load_ssh_public_key(_identity.public_half(record["host_key"]).encode())
    assert certificate.valid_principals == [b"web1", b"10.2.0.10"]


def test_an_instance_without_an_address_is_certified_by_its_name_alone():
    record = allocate(instance())["instances"]["web1"]
    assert load_ssh_public_identity(record["certificate"].encode()).valid_principals == [b"web1"]


def test_addresses_are_given_one_after_the_other():
    records = allocate(*(instance(f"i{number}") for number in range(130)))["instances"]
    found = [address for record in records.values() for address in record["volumes"].values()]
    assert found[:3] == ["1.0", "1.1", "1.2"]
    assert found[253:257] == ["1.253", "1.254", "2.0", "2.1"]


def with_addresses_given(count):
    """Return records in which so many addresses were given, all to one."""
    one = allocate(instance("hoarder"))
    one["instances"]["hoarder"]["volumes"].update({str(number): "" for number in range(count - 2)})
    return one


def test_the_last_address_is_given_and_none_of_the_root_images():
    there = with_addresses_given(ADDRESSES - 2)
    assert allocate(instance(), records=there)["instances"]["web1"]["volumes"] == {"root": "999.253", "seed": "999.254"}
    for count in (ADDRESSES - 1, ADDRESSES):
        there = with_addresses_given(count)
        before = copy.deepcopy(there)
        with pytest.raises(ValueError, match=f"^all {ADDRESSES} addresses for volumes have been given$"):
            allocate(instance(), records=there)
        assert there == before


def test_a_mac_that_is_given_is_kept_when_it_is_not_given_any_more():
    first = allocate(instance(mac=MAC))
    assert first["instances"]["web1"]["mac"] == MAC
    assert allocate(instance(), records=first) == first


def test_a_mac_that_was_allocated_gives_way_to_one_that_is_given():
    first = allocate(instance())
    second = allocate(instance(mac=MAC), records=first)
    assert second["instances"]["web1"] == {**first["instances"]["web1"], "mac": MAC}


def test_a_mac_that_is_taken_is_not_allocated(monkeypatch):
    drawn = iter([b"\x12\x34\x56", b"\x12\x34\x56", b"\x12\x34\x56", b"\xff\x00\x01"])
    urandom = os.urandom
    monkeypatch.setattr(os, "urandom", lambda size: next(drawn) if size == 3 else urandom(size))
    records = allocate(instance("web1"), instance("web2"))["instances"]
    assert [record["mac"] for record in records.values()] == ["00:16:3e:12:34:56", "00:16:3e:ff:00:01"]


@pytest.mark.parametrize("when", ["recorded", "in-the-same-run", "of-one-that-is-gone"])
def test_a_mac_belongs_to_one_instance(when):
    first = allocate(instance("web1", MAC)) if when != "in-the-same-run" else {}
    asked = [instance("web2", MAC)] if when == "of-one-that-is-gone" else [instance("web1", MAC), instance("web2", MAC)]
    with pytest.raises(ValueError, match=f"^instance_mac {MAC} of web2 belongs to web1; give web2 another$"):
        allocate(*asked, records=first)


def certificates(*runs):
    """Return the certificate of web1 after each run."""
    records, found = {}, []
    for asked, ca in runs:
        records = allocate(*asked, records=records, ca=ca)
        found.append(records["instances"]["web1"]["certificate"])
    return found


ADDRESSED = instance(address="10.2.0.10/24")


@pytest.mark.parametrize(
    ("asked", "ca", "same"),
    [
        pytest.param([ADDRESSED], CA, True, id="nothing"),
        pytest.param([], CA, True, id="gone"),
        pytest.param([{**ADDRESSED, "mac": MAC}], CA, True, id="mac"),
        pytest.param([{**ADDRESSED, "address": "10.2.0.10/16"}], CA, True, id="prefix-length"),
        pytest.param([ADDRESSED, instance("web2")], CA, True, id="another-instance"),
        pytest.param([{**ADDRESSED, "address": "10.2.0.11/24"}], CA, False, id="address"),
        pytest.param([instance()], CA, False, id="no-address"),
        pytest.param([ADDRESSED], OTHER_CA, False, id="ca"),
    ],
)
def test_a_certificate_stays_until_what_it_certifies_changes(asked, ca, same):
    first, second, third = certificates(([ADDRESSED], CA), (asked, ca), (asked, ca))
    assert (first == second) is same
    assert second == third


def test_a_new_certificate_is_for_the_same_key_by_the_new_ca():
    first = allocate(ADDRESSED)
    second = allocate(instance(address="10.2.0.11/24"), records=first, ca=OTHER_CA)["instances"]["web1"]
    certificate = load_ssh_public_identity(second["certificate"].encode())
    certificate.verify_cert_signature()
    assert certificate.signature_key() == load_ssh_public_key(_identity.public_half(OTHER_CA).encode())
    assert certificate.valid_principals == [b"web1", b"10.2.0.11"]
    assert second["host_key"] == first["instances"]["web1"]["host_key"]


def test_one_with_another_name_is_another_instance():
    record, other = allocate(instance("web2", address="10.2.0.10/24"), records=allocate(ADDRESSED))["instances"].values()
    for key in ("uuid", "host_key", "mac", "certificate"):
        assert record[key] != other[key]


@pytest.mark.parametrize("text", ["", "no key"], ids=["empty", "text"])
def test_a_ca_that_is_none_is_named(text):
    with pytest.raises(ValueError, match=r"^the CA is not an ed25519 OpenSSH private key"):
        allocate(instance(), ca=text)


NAMES = ["a", "b", "c", "d", "e"]
GIVEN_MACS = st.sampled_from(["", "", "", MAC, "52:54:00:00:00:02", "00:16:3e:00:00:01"])
GIVEN_ADDRESSES = st.sampled_from(["", "10.2.0.1/24", "10.2.0.2/24"])
ONE_RUN = st.tuples(
    st.lists(st.builds(instance, st.sampled_from(NAMES), GIVEN_MACS, GIVEN_ADDRESSES), unique_by=lambda asked: asked["name"]),
    st.sampled_from([CA, CA, CA, OTHER_CA]),
)


def unique(values):
    found = list(values)
    return len(found) == len(set(found))


@given(st.lists(ONE_RUN, max_size=6))
@example([([instance("a"), instance("b")], CA), ([], CA), ([instance("c")], CA), ([instance("a"), instance("c")], CA)])
@example([([instance("a", MAC)], CA), ([instance("b", MAC)], CA), ([instance("a", "52:54:00:00:00:02")], CA), ([instance("b", MAC)], CA)])
def test_nothing_that_was_recorded_is_dropped_or_given_twice_whatever_is_run(runs):
    records = {}
    ever = {}
    for instances, ca in runs:
        before = copy.deepcopy(records)
        try:
            after = _instance_records.allocate(instances, records, ca)
        except ValueError:
            # A MAC of another one; nothing else that is asked for here is refused.
            assert {asked["mac"] for asked in instances} != {""}
            assert records == before
            continue
        assert records == before
        # As the file has it.
        records = json.loads(json.dumps(after))
        assert records == after
        found = records["instances"]
        for name, record in before.get("instances", {}).items():
            assert {key: found[name][key] for key in ("uuid", "host_key", "volumes")} == {
                key: record[key] for key in ("uuid", "host_key", "volumes")
            }
            kept = found[name]["certified"] == record["certified"]
            assert (found[name]["certificate"] == record["certificate"]) is kept
            if name not in [asked["name"] for asked in instances]:
                assert found[name] == record
        assert found.keys() == {*before.get("instances", {}), *(asked["name"] for asked in instances)}
        for asked in instances:
            assert found[asked["name"]]["mac"] == (asked["mac"] or found[asked["name"]]["mac"])
        for key in ("uuid", "host_key", "mac", "certificate"):
            assert unique(record[key] for record in found.values())
        addresses = [address for record in found.values() for address in record["volumes"].values()]
        assert unique(addresses)
        assert set(addresses) == {f"1.{number}" for number in range(2 * len(found))}
        for name, record in found.items():
            for address in record["volumes"].values():
                assert ever.setdefault(address, name) == name
        # Nothing is left to do.
        assert _instance_records.allocate(instances, records, ca) == records
