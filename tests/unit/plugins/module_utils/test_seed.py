from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from plugins.module_utils import _seed

INSTANCE = {
    "name": "web1",
    "uuid": "6d4e9d54-3c0f-4a3e-9d3e-0c9d2f0a1b2c",
    "mac": "00:16:3e:12:34:56",
    "address": "10.2.0.10/24",
    "gateway": "10.2.0.1",
    "nameservers": ["10.2.0.1", "9.9.9.9"],
    "authorized_keys": ["ssh-ed25519 AAAA admin", "ssh-ed25519 BBBB another"],
    "host_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n",
    "host_public_key": "ssh-ed25519 CCCC",
    "host_certificate": "ssh-ed25519-cert-v01@openssh.com DDDD",
}
TEXTS = st.lists(st.text(), max_size=3)
ANY_INSTANCE = st.fixed_dictionaries({key: TEXTS if isinstance(value, list) else st.text() for key, value in INSTANCE.items()})


def read(**options):
    """Return each file as cloud-init reads it."""
    return {name: yaml.safe_load(text) for name, text in _seed.seed_files({**INSTANCE, **options}).items()}


def card(**options):
    return read(**options)["network-config"]["ethernets"]["instance"]


def test_a_personality_as_cloud_init_reads_it():
    assert read() == {
        "meta-data": {"instance-id": INSTANCE["uuid"], "local-hostname": "web1"},
        "network-config": {
            "version": 2,
            "ethernets": {
                "instance": {
                    "match": {"macaddress": "00:16:3e:12:34:56"},
                    "dhcp4": False,
                    "addresses": ["10.2.0.10/24"],
                    "routes": [{"to": "0.0.0.0/0", "via": "10.2.0.1"}],
                    "nameservers": {"addresses": ["10.2.0.1", "9.9.9.9"]},
                }
            },
        },
        "user-data": {
            "disable_root": False,
            "manage_etc_hosts": True,
            "users": [{"name": "root", "ssh_authorized_keys": INSTANCE["authorized_keys"]}],
            "ssh_keys": {
                "ed25519_private": INSTANCE["host_key"],
                "ed25519_public": "ssh-ed25519 CCCC",
                "ed25519_certificate": "ssh-ed25519-cert-v01@openssh.com DDDD",
            },
        },
    }


def as_read(found):
    """Return from what cloud-init reads what it was made of."""
    card = found["network-config"]["ethernets"]["instance"]
    (user,) = found["user-data"]["users"]
    keys = found["user-data"]["ssh_keys"]
    return {
        "name": found["meta-data"]["local-hostname"],
        "uuid": found["meta-data"]["instance-id"],
        "mac": card["match"]["macaddress"],
        "address": "".join(card.get("addresses", [])),
        "gateway": "".join(route["via"] for route in card.get("routes", [])),
        "nameservers": card.get("nameservers", {}).get("addresses", []),
        "authorized_keys": user["ssh_authorized_keys"],
        "host_key": keys["ed25519_private"],
        "host_public_key": keys["ed25519_public"],
        "host_certificate": keys["ed25519_certificate"],
    }


@given(ANY_INSTANCE)
@example({**INSTANCE, "authorized_keys": ["ssh-ed25519 AAAA \U0001f600"]})
@example({**INSTANCE, "authorized_keys": ['"', "'", "\\ud83d\\ude00", "\\\U0001f600", "# x", "{{ x }}", "\x7f\x85\u2028\ufeff\ufffe\x00"]})
@example({**INSTANCE, "name": "no", "uuid": "1e3", "mac": "12:30", "host_public_key": "~", "host_certificate": "&a *a"})
@example({**INSTANCE, "address": "", "gateway": "", "nameservers": [], "authorized_keys": []})
def test_what_went_in_is_what_cloud_init_reads_whatever_the_text(instance):
    assert as_read(read(**instance)) == instance


@given(ANY_INSTANCE)
@example(INSTANCE)
def test_user_data_is_said_to_be_cloud_config_in_its_first_line_and_in_no_other(instance):
    lines = _seed.seed_files(instance)["user-data"].split("\n")
    assert lines[0] == "#cloud-config"
    assert "#cloud-config" not in lines[1:]


@given(ANY_INSTANCE)
def test_equal_instances_have_equal_files(instance):
    again = dict(reversed(instance.items()))
    assert _seed.seed_files(instance) == _seed.seed_files(again)
    assert _seed.seed_files(instance).keys() == {"meta-data", "network-config", "user-data"}


def test_without_an_address_there_is_dhcp():
    assert card(address="", gateway="", nameservers=[]) == {"match": {"macaddress": INSTANCE["mac"]}, "dhcp4": True}


def test_with_an_address_there_is_no_dhcp():
    assert card()["dhcp4"] is False


@pytest.mark.parametrize("address", ["10.2.0.10/24", ""], ids=["address", "dhcp"])
def test_a_gateway_is_the_way_to_everywhere(address):
    assert card(address=address)["routes"] == [{"to": "0.0.0.0/0", "via": "10.2.0.1"}]


@pytest.mark.parametrize(("option", "empty", "key"), [("gateway", "", "routes"), ("nameservers", [], "nameservers")])
def test_what_there_is_not_is_not_mentioned(option, empty, key):
    assert key not in card(**{option: empty})


def test_what_is_no_part_of_a_personality_is_not_in_it():
    assert _seed.seed_files({**INSTANCE, "ca": "of the ConfigNode"}) == _seed.seed_files(INSTANCE)
