from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plugins.module_utils import _volumes
from plugins.module_utils._volumes import Pool, Volume

GIB = 1 << 30
# As lvs of LVM 2.03 writes it.
REPORT = """
  {
      "report": [
          {
              "lv": [
                  {"vg_name":"bareroot_half0", "lv_name":"debian13", "lv_size":"5368709120", "origin":"", "pool_lv":"pool", "data_percent":"23.10", "metadata_percent":"", "lv_tags":""},
                  {"vg_name":"bareroot_half0", "lv_name":"pool", "lv_size":"51539607552", "origin":"", "pool_lv":"", "data_percent":"12.50", "metadata_percent":"3.70", "lv_tags":""},
                  {"vg_name":"bareroot_half0", "lv_name":"web1-root", "lv_size":"10737418240", "origin":"debian13", "pool_lv":"pool", "data_percent":"11.55", "metadata_percent":"", "lv_tags":"bareroot.address.1.0,bareroot.export.aoe,of.someone.else"},
                  {"vg_name":"bareroot_half1", "lv_name":"data", "lv_size":"4194304", "origin":"", "pool_lv":"pool", "data_percent":"0.00", "metadata_percent":"", "lv_tags":"of.someone.else"},
                  {"vg_name":"bareroot_half1", "lv_name":"pool", "lv_size":"51539607552", "origin":"", "pool_lv":"", "data_percent":"0.00", "metadata_percent":"0.25", "lv_tags":""},
                  {"vg_name":"bareroot_half1", "lv_name":"other", "lv_size":"4194304", "origin":"", "pool_lv":"", "data_percent":"", "metadata_percent":"", "lv_tags":""}
              ]
          }
      ]
      ,
      "log": [
      ]
  }
"""  # noqa: E501 - as it is written


def refusal(function, *arguments):
    """Return why a function refuses these arguments, or nothing where it does not."""
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)
    return ""


def options(name="web1", size=None, template=None, export="", address=""):
    return {"name": name, "size": size, "template": template, "export": export, "address": address}


def test_what_lvs_reports_is_read():
    catalog = _volumes.parse(json.loads(REPORT))
    assert catalog.seen_from() == {
        "debian13": Volume("debian13", "bareroot_half0", 5 * GIB),
        "web1-root": Volume("web1-root", "bareroot_half0", 10 * GIB, "debian13", "aoe", "1.0", others=frozenset({"of.someone.else"})),
        "data": Volume("data", "bareroot_half1", 4 << 20, others=frozenset({"of.someone.else"})),
    }
    assert catalog.pools == [Pool("bareroot_half0", 48 * GIB, 6 * GIB, 3.7), Pool("bareroot_half1", 48 * GIB, 0, 0.25)]
    assert catalog.pools[0].as_result() == {"half": "half0", "size": 48 * GIB, "used": 6 * GIB, "free": 42 * GIB, "metadata_percent": 3.7}
    assert [catalog.promised(half) for half in ("half0", "half1", "half2")] == [15 * GIB, 4 << 20, 0]


@pytest.mark.parametrize(
    ("tags", "read"),
    [
        ("", {"template": "tpl"}),
        ("bareroot.template.web1,x", {"template": "web1", "others": frozenset({"x"})}),
        ("bareroot.template.", {"template": ""}),
        ("bareroot.grown", {"template": "tpl", "grown": True}),
        ("bareroot.address.1.0,bareroot.unfinished", {"template": "tpl", "address": "1.0", "others": frozenset({"bareroot.unfinished"})}),
    ],
)
def test_tags_say_what_lvm_does_not_know(tags, read):
    row = {**json.loads(REPORT)["report"][0]["lv"][0], "origin": "tpl", "lv_tags": tags}
    assert list(_volumes.parse({"report": [{"lv": [row]}]})) == [Volume("debian13", "bareroot_half0", 5 * GIB, **read)]


def test_every_field_that_is_read_is_asked_for():
    rows = json.loads(REPORT)["report"][0]["lv"]
    assert set(rows[0]) == set(_volumes.FIELDS.split(","))
    argv = _volumes.lvs_argv()
    assert argv[argv.index("--options") + 1] == _volumes.FIELDS


@pytest.mark.parametrize("percent", ["", "0.00"], ids=["inactive", "empty"])
def test_a_pool_that_holds_nothing_or_does_not_say_is_read(percent):
    row = {"vg_name": "bareroot_half0", "lv_name": "pool", "lv_size": "8388608", "origin": "", "pool_lv": "", "lv_tags": ""}
    catalog = _volumes.parse({"report": [{"lv": [{**row, "data_percent": percent, "metadata_percent": percent}]}]})
    assert (list(catalog), catalog.pools) == ([], [Pool("bareroot_half0", 8 << 20, 0, 0)])


def test_a_machine_without_halves_has_no_volumes():
    catalog = _volumes.parse({"report": [{"lv": []}]})
    assert (list(catalog), catalog.pools, catalog.seen_from()) == ([], [], {})
    assert (catalog.at("half0", "web1"), catalog.named("web1")) == (None, [])


TEMPLATE = "debian-0123456789abcdef"
WEB1 = Volume("web1-root", "bareroot_half1", 5 * GIB, TEMPLATE)
COPIES = [Volume(TEMPLATE, f"bareroot_{half}", 4 * GIB) for half in _volumes.HALVES]


@pytest.mark.parametrize(
    ("used", "half", "seen"),
    [
        pytest.param((1, 2), "", COPIES[0], id="more-room-in-half0"),
        pytest.param((2, 1), "", COPIES[1], id="more-room-in-half1"),
        pytest.param((1, 1), "", COPIES[0], id="equal-room"),
        pytest.param((2, 1), "half0", COPIES[0], id="half0"),
        pytest.param((1, 2), "half1", COPIES[1], id="half1"),
    ],
)
def test_of_a_template_in_both_halves_the_one_of_the_half_is_seen_or_that_with_room(used, half, seen):
    pools = [Pool(f"bareroot_half{number}", 10 * GIB, gib * GIB) for number, gib in enumerate(used)]
    catalog = _volumes.Catalog([*COPIES, WEB1], pools)
    assert catalog.seen_from(half) == {TEMPLATE: seen, "web1-root": WEB1}
    # Where there is room is where a volume without a template goes.
    assert half or seen.half == _volumes.emptiest(pools).half
    assert [catalog.at(place, TEMPLATE) for place in _volumes.HALVES] == COPIES
    assert catalog.named(TEMPLATE) == COPIES
    assert sorted(volume.path for volume in catalog) == sorted(volume.path for volume in [*COPIES, WEB1])


@pytest.mark.parametrize("half", ["", *_volumes.HALVES])
def test_what_is_in_one_half_is_seen_from_every_half(half):
    catalog = _volumes.Catalog([COPIES[1], WEB1], [])
    assert catalog.seen_from(half) == {TEMPLATE: COPIES[1], "web1-root": WEB1}
    assert catalog.at("half0", "web1-root") is None


def test_a_catalog_learns_what_is_made_and_what_goes():
    catalog = _volumes.Catalog([WEB1], [])
    larger = replace(WEB1, size=6 * GIB)
    catalog.put(larger)
    assert list(catalog) == [larger]
    catalog.put(COPIES[0])
    catalog.remove(larger)
    assert list(catalog) == [COPIES[0]]


@pytest.mark.parametrize("name", ["web1-root", "debian13", "debian-0123", f"{TEMPLATE}-root"])
def test_only_a_template_may_be_in_both_halves(name):
    with pytest.raises(ValueError, match=f"^volume {name} is in half0 and in half1, and only a template may be: .*lvremove bareroot_half"):
        _volumes.Catalog([Volume(name, "bareroot_half1", GIB), Volume(name, "bareroot_half0", GIB)], [])


def test_a_result_has_what_the_next_run_needs():
    volume = Volume("web1-root", "bareroot_half0", 10 * GIB, "debian13", "aoe", "1.0")
    assert volume.as_result() == {
        "name": "web1-root",
        "half": "half0",
        "size": 10 * GIB,
        "template": "debian13",
        "export": "aoe",
        "address": "1.0",
        "device": "/dev/bareroot_half0/web1-root",
    }
    assert volume.unit == "bareroot-aoe@volume-web1-root.service"


@pytest.mark.parametrize(
    ("text", "size"),
    [("1M", 4 << 20), ("4M", 4 << 20), ("5M", 8 << 20), ("1023M", GIB), ("10G", 10 * GIB), ("2T", 2048 * GIB), ("010G", 10 * GIB)],
)
def test_sizes_are_whole_extents(text, size):
    assert _volumes.parse_size(text) == size


@given(
    st.text()
    | st.builds("{}{}{}".format, st.text(max_size=1), st.integers(-1, 1 << 40), st.sampled_from(["M", "G", "T", "K", "g", "M\n", "B"]))
)
@example("")
@example("0G")
@example("1.5G")
@example("10GG")
@example("\u0661G")
def test_any_text_as_a_size_is_refused_or_enough_and_less_than_an_extent_too_much(text):
    refused = refusal(_volumes.parse_size, text)
    if refused:
        assert refused == f"size {text!r}: write a number and M, G or T, such as 10G"
        assert not re.fullmatch(r"0*[1-9][0-9]*[MGT]", text)
        return
    size = _volumes.parse_size(text)
    asked = int(text[:-1]) * {"M": 1 << 20, "G": GIB, "T": 1024 * GIB}[text[-1]]
    assert size % _volumes.EXTENT == 0
    assert 0 <= size - asked < _volumes.EXTENT


GOOD_NAMES = st.from_regex(_volumes.NAME, fullmatch=True)
ANY_NAME = st.one_of(
    st.text(st.characters()),
    GOOD_NAMES,
    st.builds("{}{}{}".format, st.text(max_size=1), GOOD_NAMES, st.text(max_size=1)),
    st.builds("{}{}".format, GOOD_NAMES, st.sampled_from(["\n", " ", "/", "-", "/../x", ";reboot", "\x00", "@", "%i", "é"])),
)


@given(ANY_NAME)
@example("pool")
@example("snapshot1")
@example("pvmove0")
@example("-L1G")
@example("")
def test_any_text_as_a_name_is_refused_or_one_word_of_every_command(name):
    refused = refusal(_volumes.check, name, "1.0", {})
    if refused:
        assert refused.startswith(f"volume name {name!r}: ")
        is_word = re.fullmatch("[a-z]([a-z0-9-]*[a-z0-9])?", name) and len(name) <= 63
        assert not is_word or name == "pool" or name.startswith(("snapshot", "pvmove"))
        return
    assert re.fullmatch("[a-z]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= 63
    for template in (None, "tpl-of-this-test"):
        words = {"web1": name, "bareroot_half0/web1": f"bareroot_half0/{name}"}
        unit = "bareroot-aoe@volume-{}.service"
        words[unit.format("web1")] = unit.format(name)
        expected = [[words.get(word, word) for word in command] for command in to_move_it("web1", template)]
        assert to_move_it(name, template) == expected


def to_move_it(name, template):
    """Return the commands that make a volume and export it, and those that export it elsewhere."""
    volumes = {"tpl-of-this-test": Volume("tpl-of-this-test", "bareroot_half0", 4 << 20)}
    target = _volumes.wanted(options(name, "8M", template, "aoe", "1.0"), volumes, [Pool("bareroot_half0", GIB, 0)])
    return _volumes.commands(None, target, 4 << 20) + _volumes.commands(target, replace(target, address="1.1"))


@pytest.mark.parametrize("address", ["0.0", "1.0", "9.10", "999.254", "999.0"])
def test_addresses_that_can_be(address):
    _volumes.check("web1", address, {})


@given(st.text(st.sampled_from("0123456789. -\nx")) | st.builds("{}.{}".format, st.integers(-1, 70000), st.integers(-1, 300)))
@example("999.254")
@example("1000.0")
@example("65535.0")
@example("01.0")
@example("1.00")
@example("00.0")
@example("1.255")
@example("1")
@example("1.0.0")
@example("1.0\n")
@example("\u0661.0")
def test_any_text_as_an_address_is_refused_or_within_what_volumes_have(address):
    refused = refusal(_volumes.check, "web1", address, {})
    if refused:
        assert refused == f"address {address!r} of web1: write shelf.slot, such as 1.0; shelves end at 999, slots at 254"
        found = re.fullmatch("(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)", address, re.ASCII)
        assert not found or int(found[1]) > 999 or int(found[2]) > 254
        return
    if address:
        shelf, slot = address.split(".")
        assert 0 <= int(shelf) <= 999
        assert 0 <= int(slot) <= 254
        assert address == f"{int(shelf)}.{int(slot)}"


HOLDER = {"db1": Volume("db1", "bareroot_half1", 4 << 20, "", "aoe", "1.0")}


def test_an_address_belongs_to_one_volume():
    with pytest.raises(ValueError, match=r"^address 1\.0 of web1 belongs to db1; give web1 another$"):
        _volumes.check("web1", "1.0", HOLDER)
    _volumes.check("db1", "1.0", HOLDER)
    _volumes.check("web1", "1.1", HOLDER)
    _volumes.check("web1", "11.0", HOLDER)


POOLS = st.lists(
    st.builds(lambda size, part, group: Pool(group, size, size * part // 100), st.integers(0, 1 << 50), st.integers(0, 100), st.text())
)


@given(POOLS)
def test_a_new_volume_goes_where_most_room_is(pools):
    if not pools:
        with pytest.raises(ValueError, match="no half is active here"):
            _volumes.emptiest(pools)
        return
    chosen = _volumes.emptiest(pools)
    assert chosen in pools
    assert all(pool.size - pool.used <= chosen.size - chosen.used for pool in pools)


NAMES = ("a", "b")
VOLUME = st.builds(
    lambda name, half, extents, exported, address: Volume(
        name, f"bareroot_half{half}", extents << 22, "", "aoe" if exported else "", address if exported else ""
    ),
    st.sampled_from(NAMES),
    st.integers(0, 1),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from(["1.0", "1.1"]),
)


@given(VOLUME, st.none() | st.integers(1, 40), st.sampled_from([("", ""), ("aoe", "1.0"), ("aoe", "1.1"), ("", "1.0")]))
def test_a_present_volume_is_never_made_again_moved_or_made_smaller(present, mebibytes, exported):
    export, address = exported
    size = f"{mebibytes}M" if mebibytes else None
    asked = options(present.name, size, None, export, address)
    there = ({present.name: present}, [Pool("bareroot_half0", GIB, 0), Pool("bareroot_half1", GIB, 1)])
    refused = refusal(_volumes.wanted, asked, *there)
    if refused:
        assert "never made smaller" in refused
        assert _volumes.parse_size(size) < present.size
        return
    target = _volumes.wanted(asked, *there)
    commands = _volumes.commands(present, target)
    assert (target.group, target.template) == (present.group, present.template)
    assert target.size >= present.size
    assert not [command for command in commands if command[0] in ("lvcreate", "lvremove")]
    assert sum(command[0] == "lvextend" for command in commands) == (target.size > present.size)
    assert _volumes.commands(target, target) == []


HALVES = [Pool("bareroot_half0", GIB, 0), Pool("bareroot_half1", GIB, 1)]


@pytest.mark.parametrize(
    ("half", "place"),
    [("", "bareroot_half0"), ("half0", "bareroot_half0"), ("half1", "bareroot_half1")],
    ids=["emptiest", "half0", "half1"],
)
def test_a_new_volume_goes_to_the_half_that_is_given(half, place):
    assert _volumes.wanted(options(size="8M"), {}, HALVES, half) == Volume("web1", place, 8 << 20)


@pytest.mark.parametrize(("pools", "active"), [([], "none"), (HALVES[:1], "half0")], ids=["none", "the-other"])
def test_a_half_that_is_not_here_is_refused(pools, active):
    with pytest.raises(ValueError, match=f"^half1 is not active here; active are: {active}$"):
        _volumes.wanted(options(size="8M"), {}, pools, "half1")


PLACES = pytest.mark.parametrize("place", _volumes.HALVES)


@PLACES
@pytest.mark.parametrize("half", ["", *_volumes.HALVES])
def test_what_is_there_stays_whatever_half_is_given(place, half):
    there = {"tpl": Volume("tpl", f"bareroot_{place}", 4 << 20)}
    target = _volumes.wanted(options("tpl", template="tpl"), there, HALVES, half)
    assert target == there["tpl"]
    assert _volumes.commands(there["tpl"], target) == []


@PLACES
@pytest.mark.parametrize("given", [True, False])
def test_a_clone_lies_where_its_template_is(place, given):
    there = {"tpl": Volume("tpl", f"bareroot_{place}", 4 << 20)}
    target = _volumes.wanted(options(template="tpl"), there, HALVES, place if given else "")
    assert target.half == place
    assert [command[-1] for command in _volumes.commands(None, target, 4 << 20)] == [f"bareroot_{place}/tpl"]


def test_a_clone_in_a_half_that_has_no_template_is_refused():
    there = {"tpl": Volume("tpl", "bareroot_half0", 4 << 20)}
    with pytest.raises(ValueError, match=r"^template tpl of web1 is in half0, not in half1; a clone lies where its template is$"):
        _volumes.wanted(options(template="tpl"), there, HALVES, "half1")


def test_a_half_has_no_more_volumes_by_nvme_tcp_than_it_can_bring_up():
    pool = Pool("bareroot_half0", 48 * GIB, 0)
    full = {f"v{number}": Volume(f"v{number}", "bareroot_half0", GIB, "", "nvme", f"1.{number}") for number in range(1024)}
    asked = options("new", "1G", export="nvme", address="9.0")
    assert refusal(_volumes.wanted, asked, full, [pool]) == (
        "half0 has 1024 volumes by NVMe/TCP, which is all that it can have; export new by aoe, or put it elsewhere"
    )
    paused = {**full, "v0": replace(full["v0"], export="", paused="nvme")}
    assert refusal(_volumes.wanted, asked, paused, [pool])
    for other in (replace(full["v0"], export="aoe"), replace(full["v0"], group="bareroot_half1")):
        assert not refusal(_volumes.wanted, asked, {**full, "v0": other}, [pool])
    assert not refusal(_volumes.wanted, {**asked, "export": "aoe"}, full, [pool])
    assert not refusal(_volumes.wanted, options("v7", export="nvme", address="1.7"), full, [pool])
