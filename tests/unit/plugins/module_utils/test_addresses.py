from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _addresses

NETWORK = IPv4Network("10.0.0.0/24")
SMALL = IPv4Network("10.0.0.0/28")


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        pytest.param("", "10.0.0.1", "10.0.0.254", id="whole-network"),
        pytest.param("10.0.0.20-10.0.0.30", "10.0.0.20", "10.0.0.30", id="range"),
        pytest.param("10.0.0.20 - 10.0.0.30", "10.0.0.20", "10.0.0.30", id="spaces"),
        pytest.param("10.0.0.20-10.0.0.20", "10.0.0.20", "10.0.0.20", id="one-address"),
    ],
)
def test_a_range_is_read(text, first, last):
    assert _addresses.parse_range(text, NETWORK) == (IPv4Address(first), IPv4Address(last))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("10.0.0.20", "has no hyphen; write it as 10.0.0.1-10.0.0.254", id="no-end"),
        pytest.param("10.0.0.0/25", "has no hyphen; write it as 10.0.0.1-10.0.0.254", id="cidr"),
        pytest.param("-", "'' is not an IPv4 address; write it as 10.0.0.1", id="only-hyphen"),
        pytest.param("10.0.0.20-30", "'30' is not an IPv4 address", id="short-end"),
        pytest.param("10.0.0.20-10.0.0.30-10.0.0.40", "'10.0.0.30-10.0.0.40' is not an IPv4 address", id="three"),
        pytest.param("fd00::1-fd00::9", "'fd00::1' is not an IPv4 address", id="ipv6"),
        pytest.param("10.0.0.30-10.0.0.20", "ends before it starts; write it as 10.0.0.20-10.0.0.30", id="backwards"),
        pytest.param("10.0.1.1-10.0.1.9", "10.0.1.1 is not a host of 10.0.0.0/24", id="other-network"),
        pytest.param("10.0.0.200-10.0.1.9", "10.0.1.9 is not a host of 10.0.0.0/24", id="end-outside"),
        pytest.param("10.0.0.0-10.0.0.9", "10.0.0.0 is not a host of 10.0.0.0/24; its hosts are 10.0.0.1 to 10.0.0.254", id="network"),
        pytest.param("10.0.0.9-10.0.0.255", "10.0.0.255 is not a host of 10.0.0.0/24", id="broadcast"),
    ],
)
def test_a_wrong_range_is_refused_with_what_would_be_right(text, message):
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        _addresses.parse_range(text, NETWORK)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.0.0.0/30", "10.0.0.0/255.255.255.0"], ids=["large", "smallest", "mask"])
def test_a_network_is_read(text):
    assert _addresses.parse_network(text, "network") == IPv4Network(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("10.0.0.0/31", "has no room for machines", id="31"),
        pytest.param("10.0.0.0/32", "has no room for machines", id="32"),
        pytest.param("10.0.0.0", "has no room for machines", id="no-length"),
        pytest.param("10.0.0.1/24", "has host bits set", id="host-bits"),
        pytest.param("10.0.0.0/33", "is not a valid netmask", id="33"),
        pytest.param("10.0.0.0/24\n", "is not a valid netmask", id="line-break"),
        pytest.param("fd00::/64", "Expected 4 octets", id="ipv6"),
        pytest.param("", "Address cannot be empty", id="empty"),
    ],
)
def test_what_is_no_network_for_machines_is_refused_with_an_example(text, message):
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        _addresses.parse_network(text, "storage_network")
    assert str(refused.value).startswith(f"storage_network {text!r}")
    assert str(refused.value).endswith("write it as 10.0.0.0/24")


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.254"], ids=["first", "last"])
def test_a_host_is_read(text):
    assert _addresses.parse_host(text, NETWORK, "server") == IPv4Address(text)


NO_HOST = " is not a host of 10.0.0.0/24; its hosts are 10.0.0.1 to 10.0.0.254"
NO_ADDRESS = " is not an IPv4 address; write it as 10.0.0.1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("10.0.0.0", f"10.0.0.0{NO_HOST}", id="network"),
        pytest.param("10.0.0.255", f"10.0.0.255{NO_HOST}", id="broadcast"),
        pytest.param("10.0.1.1", f"10.0.1.1{NO_HOST}", id="other-network"),
        pytest.param("10.0.0.1\n", f"'10.0.0.1\\n'{NO_ADDRESS}", id="line-break"),
        pytest.param("10.0.0.1/24", f"'10.0.0.1/24'{NO_ADDRESS}", id="prefix-length"),
        pytest.param("10.0.0.01", f"'10.0.0.01'{NO_ADDRESS}", id="leading-zero"),
        pytest.param("cn.example", f"'cn.example'{NO_ADDRESS}", id="name"),
        pytest.param("", f"''{NO_ADDRESS}", id="empty"),
    ],
)
def test_what_is_no_host_of_the_network_is_refused_with_its_hosts(text, message):
    with pytest.raises(ValueError, match=rf"^server {re.escape(message)}$"):
        _addresses.parse_host(text, NETWORK, "server")


@pytest.mark.parametrize(
    ("nodes", "recorded", "address_range", "taken", "expected"),
    [
        pytest.param([], {"gone": ["10.0.0.5"]}, "", [], {}, id="no-nodes"),
        pytest.param([("a", ""), ("b", "")], {}, "", [], {"a": "10.0.0.1", "b": "10.0.0.2"}, id="in-order"),
        pytest.param([("a", "")], {}, "", ["10.0.0.1", "10.0.0.2"], {"a": "10.0.0.3"}, id="skips-taken"),
        pytest.param([("a", "")], {}, "10.0.0.20-10.0.0.29", [], {"a": "10.0.0.20"}, id="in-range"),
        pytest.param([("a", "")], {"gone": ["10.0.0.1"]}, "", [], {"a": "10.0.0.2"}, id="skips-recorded-of-the-gone"),
        pytest.param([("b", ""), ("a", "")], {"a": ["10.0.0.1"]}, "", [], {"b": "10.0.0.2", "a": "10.0.0.1"}, id="keeps-recorded"),
        pytest.param([("a", "")], {"a": ["10.0.0.9"]}, "10.0.0.20-10.0.0.29", [], {"a": "10.0.0.9"}, id="keeps-recorded-out-of-range"),
        pytest.param([("a", "")], {"a": ["10.0.0.1", "10.0.0.9"]}, "", [], {"a": "10.0.0.9"}, id="keeps-the-latest"),
        pytest.param(
            [("b", ""), ("a", "")],
            {"a": ["10.0.0.1", "10.0.0.9"]},
            "",
            [],
            {"b": "10.0.0.2", "a": "10.0.0.9"},
            id="skips-former-of-the-moved",
        ),
        pytest.param([("a", "10.0.0.1")], {"a": ["10.0.0.1", "10.0.0.9"]}, "", [], {"a": "10.0.0.1"}, id="moves-back"),
        pytest.param([("a", ""), ("b", "10.0.0.1")], {}, "", [], {"a": "10.0.0.2", "b": "10.0.0.1"}, id="given-later-is-respected"),
        pytest.param([("a", "10.0.0.7")], {"a": ["10.0.0.1"]}, "", [], {"a": "10.0.0.7"}, id="given-beats-own-record"),
        pytest.param([("a", "10.0.0.7")], {"a": ["10.0.0.7"]}, "", [], {"a": "10.0.0.7"}, id="given-is-own-record"),
        pytest.param([("a", "10.0.0.7")], {}, "10.0.0.20-10.0.0.29", [], {"a": "10.0.0.7"}, id="given-out-of-range"),
        pytest.param([("a", "")], {"a": []}, "", [], {"a": "10.0.0.1"}, id="recorded-without-address"),
    ],
)
def test_allocation(nodes, recorded, address_range, taken, expected):
    assert _addresses.allocate(nodes, recorded, address_range, NETWORK, dict.fromkeys(taken, "a printer")) == expected


@pytest.mark.parametrize(
    ("nodes", "recorded", "message"),
    [
        pytest.param([("a", "10.0.0.9"), ("b", "10.0.0.9")], {}, "address of b 10.0.0.9 belongs to a; give b another", id="given-twice"),
        pytest.param([("a", "10.0.0.1")], {}, "address of a 10.0.0.1 belongs to the ConfigNode; give a another", id="the-servers"),
        pytest.param([("a", "10.0.0.8")], {}, "address of a 10.0.0.8 belongs to a printer; give a another", id="taken"),
        pytest.param([("a", "10.0.0.0")], {}, f"address of a 10.0.0.0{NO_HOST}", id="network"),
        pytest.param([("a", "10.0.0.255")], {}, f"address of a 10.0.0.255{NO_HOST}", id="broadcast"),
        pytest.param([("a", "10.0.1.5")], {}, f"address of a 10.0.1.5{NO_HOST}", id="other-network"),
        pytest.param([("a", "x")], {}, f"address of a 'x'{NO_ADDRESS}", id="no-address"),
        pytest.param(
            [("new", "10.0.0.5")],
            {"gone": ["10.0.0.5"]},
            "address of new 10.0.0.5 was given to gone before, and addresses are never given again",
            id="of-the-gone",
        ),
        pytest.param(
            [("moved", ""), ("new", "10.0.0.5")],
            {"moved": ["10.0.0.5", "10.0.0.6"]},
            "address of new 10.0.0.5 was given to moved before",
            id="former-of-the-moved",
        ),
        pytest.param([("b", "10.0.0.5"), ("a", "")], {"a": ["10.0.0.5"]}, "10.0.0.5 was given to a before", id="recorded-of-a-later-node"),
        pytest.param(
            [("a", "")], {"a": ["10.9.0.5"]}, f"address that a was given before, 10.9.0.5{NO_HOST}", id="recorded-outside-changed-network"
        ),
        pytest.param(
            [("a", "")],
            {"a": ["10.0.0.1"]},
            "address that a was given before, 10.0.0.1 belongs to the ConfigNode; give a another",
            id="recorded-is-now-the-servers",
        ),
    ],
)
def test_an_address_that_a_node_cannot_have_is_refused_with_its_owner_or_the_hosts(nodes, recorded, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        _addresses.allocate(nodes, recorded, "", NETWORK, {"10.0.0.1": "the ConfigNode", "10.0.0.8": "a printer"})


@pytest.mark.parametrize(
    ("address_range", "where"), [("10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2"), ("", "10.0.0.0/30")], ids=["range", "network"]
)
def test_no_address_left_is_refused_with_the_node_and_what_to_enlarge(address_range, where):
    with pytest.raises(ValueError, match=f"no address left for c in {where}: enlarge config_node_address_range"):
        _addresses.allocate([("a", ""), ("b", ""), ("c", "")], {}, address_range, IPv4Network("10.0.0.0/30"), {})


@pytest.mark.parametrize(
    ("address", "other", "expected"),
    [
        pytest.param("10.0.0.7", "10.1.0.0/24", "10.1.0.7/24", id="same-size"),
        pytest.param("10.0.0.7", "10.1.0.0/16", "10.1.0.7/16", id="larger"),
        pytest.param("10.0.0.7", "10.1.0.128/28", "10.1.0.135/28", id="smaller-but-enough"),
    ],
)
def test_the_host_part_is_the_same_in_the_other_network(address, other, expected):
    assert str(_addresses.same_host(address, NETWORK, IPv4Network(other))) == expected


@pytest.mark.parametrize("address", ["10.0.0.16", "10.0.0.15"], ids=["outside", "would-be-broadcast"])
def test_a_network_too_small_for_the_host_part_is_refused(address):
    with pytest.raises(ValueError, match=rf"10\.1\.0\.0/28 is too small for the host part of {address}: make it as large as"):
        _addresses.same_host(address, NETWORK, IPv4Network("10.1.0.0/28"))


NAMES = st.sampled_from("abcdefgh")
HOSTS = st.integers(1, SMALL.num_addresses - 2)


def address(host: int) -> str:
    return str(SMALL[host])


@st.composite
def situations(draw):
    owners = draw(st.dictionaries(HOSTS.map(address), NAMES, max_size=8))
    recorded = {name: [found for found, owner in owners.items() if owner == name] for name in owners.values()}
    names = draw(st.lists(NAMES, unique=True))
    nodes = [(name, draw(st.just("") | HOSTS.map(address))) for name in names]
    first, last = sorted((draw(HOSTS), draw(HOSTS)))
    taken = draw(st.dictionaries(HOSTS.map(address), st.just("a printer"), max_size=3))
    return nodes, recorded, first, last, taken


@given(situations())
def test_allocation_shares_nothing_keeps_records_and_refuses_only_when_it_must(situation):
    nodes, recorded, first, last, taken = situation
    former = {found: name for name, addresses in recorded.items() for found in addresses}
    settled = {name: wish or recorded[name][-1] for name, wish in nodes if wish or name in recorded}
    unplaced = [name for name, _wish in nodes if name not in settled]
    conflict = len(set(settled.values())) < len(settled) or any(
        found in taken or former.get(found, name) != name for name, found in settled.items()
    )
    free = {address(host) for host in range(first, last + 1)} - {*former, *settled.values(), *taken}
    try:
        result = _addresses.allocate(nodes, recorded, f"{address(first)}-{address(last)}", SMALL, taken)
    except ValueError:
        assert conflict or len(free) < len(unplaced)
        return
    assert not conflict
    assert set(result) == {name for name, _wish in nodes}
    assert len(set(result.values())) == len(result)
    assert result.items() >= settled.items()
    assert {result[name] for name in unplaced} <= free


@given(st.lists(st.dictionaries(NAMES, st.just("") | HOSTS.map(address)), max_size=6))
def test_over_many_inventories_a_node_keeps_its_address_until_moved_and_nobody_else_ever_has_it(inventories):
    records: dict[str, list[str]] = {}
    for nodes in inventories:
        try:
            result = _addresses.allocate(nodes.items(), records, "", SMALL, {})
        except ValueError:
            continue
        for name, found in result.items():
            assert found == (nodes[name] or records.get(name, [found])[-1])
            records[name] = [*(former for former in records.get(name, []) if former != found), found]
        everything = [found for addresses in records.values() for found in addresses]
        assert len(set(everything)) == len(everything)
