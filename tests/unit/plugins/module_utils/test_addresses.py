from __future__ import annotations

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
    "text",
    [
        pytest.param("10.0.0.20", id="no-end"),
        pytest.param("-", id="only-hyphen"),
        pytest.param("10.0.0.20-30", id="short-end"),
        pytest.param("10.0.0.20-10.0.0.30-10.0.0.40", id="three"),
        pytest.param("10.0.0.30-10.0.0.20", id="backwards"),
        pytest.param("10.0.1.1-10.0.1.9", id="other-network"),
        pytest.param("10.0.0.200-10.0.1.9", id="end-outside"),
        pytest.param("10.0.0.0/25", id="cidr"),
        pytest.param("fd00::1-fd00::9", id="ipv6"),
    ],
)
def test_a_wrong_range_is_refused_with_an_example_of_this_network(text):
    with pytest.raises(ValueError, match=r"is not a range .*such as 10\.0\.0\.1-10\.0\.0\.254") as refused:
        _addresses.parse_range(text, NETWORK)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("nodes", "recorded", "address_range", "taken", "expected"),
    [
        pytest.param([], {"gone": "10.0.0.5"}, "", [], {}, id="no-nodes"),
        pytest.param([("a", ""), ("b", "")], {}, "", [], {"a": "10.0.0.1", "b": "10.0.0.2"}, id="in-order"),
        pytest.param([("a", "")], {}, "", ["10.0.0.1", "10.0.0.2"], {"a": "10.0.0.3"}, id="skips-taken"),
        pytest.param([("a", "")], {}, "10.0.0.20-10.0.0.29", [], {"a": "10.0.0.20"}, id="in-range"),
        pytest.param([("a", "")], {"gone": "10.0.0.1"}, "", [], {"a": "10.0.0.2"}, id="skips-recorded-of-the-gone"),
        pytest.param([("b", ""), ("a", "")], {"a": "10.0.0.1"}, "", [], {"b": "10.0.0.2", "a": "10.0.0.1"}, id="keeps-recorded"),
        pytest.param([("a", "")], {"a": "10.0.0.9"}, "10.0.0.20-10.0.0.29", [], {"a": "10.0.0.9"}, id="keeps-recorded-out-of-range"),
        pytest.param([("a", ""), ("b", "10.0.0.1")], {}, "", [], {"a": "10.0.0.2", "b": "10.0.0.1"}, id="given-later-is-respected"),
        pytest.param([("a", "10.0.0.7")], {"a": "10.0.0.1"}, "", [], {"a": "10.0.0.7"}, id="given-beats-own-record"),
        pytest.param([("a", "10.0.0.7")], {"a": "10.0.0.7"}, "", [], {"a": "10.0.0.7"}, id="given-is-own-record"),
        pytest.param([("a", "10.0.0.7")], {}, "10.0.0.20-10.0.0.29", [], {"a": "10.0.0.7"}, id="given-out-of-range"),
    ],
)
def test_allocation(nodes, recorded, address_range, taken, expected):
    assert _addresses.allocate(nodes, recorded, address_range, NETWORK, taken) == expected


def test_a_given_address_that_was_another_nodes_is_refused_with_both_names():
    with pytest.raises(ValueError, match=r"10\.0\.0\.5 of new was given to gone before"):
        _addresses.allocate([("new", "10.0.0.5")], {"gone": "10.0.0.5"}, "", NETWORK, [])


@pytest.mark.parametrize(
    ("address_range", "where"), [("10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2"), ("", "10.0.0.0/30")], ids=["range", "network"]
)
def test_no_address_left_is_refused_with_the_node_and_what_to_enlarge(address_range, where):
    with pytest.raises(ValueError, match=f"no address left for c in {where}: enlarge node_address_range"):
        _addresses.allocate([("a", ""), ("b", ""), ("c", "")], {}, address_range, IPv4Network("10.0.0.0/30"), [])


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
    recorded = draw(st.dictionaries(NAMES, HOSTS.map(address), max_size=6).filter(lambda found: len(set(found.values())) == len(found)))
    names = draw(st.lists(NAMES, unique=True))
    wishes = iter(draw(st.lists(HOSTS.map(address), unique=True, min_size=len(names), max_size=len(names))))
    nodes = [(name, next(wishes) if draw(st.booleans()) else "") for name in names]
    first, last = sorted((draw(HOSTS), draw(HOSTS)))
    taken = draw(st.lists(HOSTS.map(address), max_size=4))
    return nodes, recorded, first, last, taken


@given(situations())
def test_allocation_shares_nothing_keeps_records_and_refuses_only_when_it_must(situation):
    nodes, recorded, first, last, taken = situation
    wishes = {name: wish for name, wish in nodes if wish}
    in_range = {address(host) for host in range(first, last + 1)}
    unplaced = [name for name, wish in nodes if not wish and name not in recorded]
    kept = {name: recorded[name] for name, wish in nodes if not wish and name in recorded}
    conflict = any(recorded[other] == wish for name, wish in wishes.items() for other in recorded if other != name)
    free = in_range - {*recorded.values(), *wishes.values(), *taken}
    try:
        result = _addresses.allocate(nodes, recorded, f"{address(first)}-{address(last)}", SMALL, taken)
    except ValueError:
        assert conflict or len(free) < len(unplaced)
        return
    assert not conflict
    assert set(result) == {name for name, _wish in nodes}
    assert len(set(result.values())) == len(result)
    assert result.items() >= kept.items()
    assert result.items() >= wishes.items()
    assert {result[name] for name in unplaced} <= free
    for name in result:
        assert result[name] not in {recorded[other] for other in recorded if other != name}


@given(st.lists(st.lists(NAMES, unique=True), max_size=6))
def test_over_many_inventories_a_node_keeps_its_address_and_nobody_else_ever_has_it(inventories):
    records: dict[str, str] = {}
    for names in inventories:
        result = _addresses.allocate([(name, "") for name in names], records, "", SMALL, [])
        assert all(records.get(name, found) == found for name, found in result.items())
        records |= result
        assert len(set(records.values())) == len(records)
