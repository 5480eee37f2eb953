from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _placement

GIB = 1 << 30
HALVES = ("half0", "half1")
LIMIT = "run this without --limit"


def info(*halves, free=(40, 40), volumes=None):
    """Return what volume_info says on a StorageNode that serves these halves. volumes: names, by half."""
    room = dict(zip(HALVES, free, strict=True))
    pools = [{"half": half, "size": 50 * GIB, "used": (50 - room[half]) * GIB, "free": room[half] * GIB} for half in halves]
    found = [{"name": name, "half": half} for half, names in (volumes or {}).items() for name in names]
    return {"changed": False, "volumes": found, "pools": pools}


def instance(name="web1", state="running", disk_size="4G", delete_volumes=False):
    return {"name": name, "state": state, "disk_size": disk_size, "delete_volumes": delete_volumes}


def absent(**options):
    return instance(state="absent", **options)


def pair(free=(40, 40), half0=(), half1=()):
    """Return what both say where each serves a half."""
    return {"sn1": info("half0", free=free, volumes={"half0": half0}), "sn2": info("half1", free=free, volumes={"half1": half1})}


def one(free=(40, 40), half0=(), half1=()):
    """Return what a single StorageNode says."""
    return {"sn1": info(*HALVES, free=free, volumes={"half0": half0, "half1": half1})}


def refusal(instances, infos, **options):
    """Return why it refuses, or nothing where it does not."""
    try:
        _placement.place(instances, infos, **options)
    except ValueError as error:
        return str(error)
    return ""


ROOT, SEED = "web1-root", "web1-seed"


@pytest.mark.parametrize(
    ("infos", "place"),
    [
        pytest.param(one((40, 30)), ("half0", "sn1"), id="one"),
        pytest.param(one((30, 40)), ("half1", "sn1"), id="one-other-half"),
        pytest.param(pair((40, 30)), ("half0", "sn1"), id="pair"),
        pytest.param(pair((30, 40)), ("half1", "sn2"), id="pair-other-half"),
        pytest.param(pair((30, 30)), ("half0", "sn1"), id="equal-room"),
        pytest.param(dict(reversed(pair((30, 30)).items())), ("half0", "sn1"), id="equal-room-whoever-is-named-first"),
        pytest.param({"sn1": info("half1"), "sn2": info("half0")}, ("half0", "sn2"), id="crossed"),
        pytest.param({"sn1": info(), "sn2": info(*HALVES)}, ("half0", "sn2"), id="one-serves-none"),
        pytest.param({"sn1": None, "sn2": info(*HALVES)}, ("half0", "sn2"), id="one-is-dead"),
        pytest.param({"sn1": {"failed": True, "msg": "lvs"}, "sn2": info(*HALVES)}, ("half0", "sn2"), id="one-failed"),
        pytest.param(one((40, 1), half1=[ROOT, SEED]), ("half1", "sn1"), id="there"),
        pytest.param(pair((40, 1), half1=[ROOT, SEED]), ("half1", "sn2"), id="there-on-the-other"),
        pytest.param(pair((40, 1), half1=[ROOT]), ("half1", "sn2"), id="seed-is-missing"),
        pytest.param(pair((40, 1), half1=[SEED]), ("half1", "sn2"), id="root-is-missing"),
        pytest.param(one((40, 1), half0=[SEED], half1=[ROOT]), ("half1", "sn1"), id="apart-on-one-node"),
        pytest.param({"sn1": None, "sn2": info("half1", volumes={"half1": [ROOT]})}, ("half1", "sn2"), id="there-and-the-other-unknown"),
        pytest.param(pair((40, 30), half1=["web1", "web10-root", "other-web1-root"]), ("half0", "sn1"), id="others-are-there"),
    ],
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_an_instance_has_one_place(infos, place, check_mode):
    before = copy.deepcopy(infos)
    assert _placement.place([instance()], infos, check_mode) == [("web1", *place)]
    assert infos == before


@pytest.mark.parametrize(
    ("sizes", "free", "halves"),
    [
        pytest.param(["4G"] * 4, (40, 40), [0, 1, 0, 1], id="in-turn"),
        pytest.param(["4G"] * 4, (40, 31), [0, 0, 0, 1], id="until-the-room-is-even"),
        pytest.param(["20G", "4G", "4G", "4G"], (40, 39), [0, 1, 1, 1], id="by-size"),
        pytest.param(["20G"] * 4, (10, 5), [0, 1, 0, 1], id="thin-volumes-may-be-more-than-fits"),
    ],
)
def test_new_volumes_are_spread_by_what_is_left(sizes, free, halves):
    instances = [instance(f"web{number}", disk_size=size) for number, size in enumerate(sizes)]
    for infos in (one(free), pair(free)):
        places = _placement.place(instances, infos)
        assert [half for _name, half, _node in places] == [HALVES[half] for half in halves]


def test_what_is_there_takes_no_more_room():
    instances = [instance("web1", disk_size="30G"), instance("web2")]
    assert _placement.place(instances, pair((40, 38), half0=[ROOT])) == [("web1", "half0", "sn1"), ("web2", "half0", "sn1")]


def test_what_is_absent_takes_no_room():
    instances = [absent(disk_size="30G"), instance("web2")]
    assert _placement.place(instances, pair((40, 38))) == [("web2", "half0", "sn1")]


NAMES = [f"web{number}" for number in range(6)]


@given(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(HALVES)),
    st.lists(st.sampled_from(NAMES), unique=True),
    st.tuples(st.integers(0, 50), st.integers(0, 50)),
    st.sampled_from([("sn1", "sn1"), ("sn1", "sn2"), ("sn2", "sn1")]),
)
def test_a_second_run_leaves_all_where_the_first_put_it(there, wanted, free, servers):
    def infos(volumes):
        halves = {node: [half for half, server in zip(HALVES, servers, strict=True) if server == node] for node in ("sn1", "sn2")}
        roots = {half: [f"{name}-root" for name, place in volumes.items() if place == half] for half in HALVES}
        return {node: info(*own, free=free, volumes={half: roots[half] for half in own}) for node, own in halves.items()}

    instances = [instance(name) for name in wanted]
    first = _placement.place(instances, infos(there))
    assert [name for name, _half, _node in first] == wanted
    assert all(node == servers[HALVES.index(half)] for _name, half, node in first)
    assert all(there.get(name, half) == half for name, half, _node in first)
    assert _placement.place(instances, infos({**there, **{name: half for name, half, _node in first}})) == first


@pytest.mark.parametrize("infos", [{}, {"sn1": None}, {"sn1": {}, "sn2": None}, {"sn1": info(), "sn2": None}], ids=str)
def test_on_a_new_site_nothing_is_to_do_in_check_mode_only(infos):
    instances = [instance(), absent(name="web2", delete_volumes=True)]
    assert _placement.place(instances, infos, check_mode=True) == []
    assert refusal(instances, infos).startswith("half0 and half1: no StorageNode that answered serves ")


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("half", [0, 1])
def test_a_half_that_nobody_serves_may_hold_the_volume(half, check_mode):
    message = refusal([instance()], {"sn1": info(HALVES[1 - half]), "sn2": None}, check_mode=check_mode)
    assert message.startswith(
        f"half{half}: no StorageNode that answered serves it, and volumes of web1 may lie there, so that nothing is done"
    )
    assert "sn2 did not answer or was not asked: " in message
    assert LIMIT in message


def test_a_half_that_nobody_serves_though_all_answered_is_no_matter_of_limits():
    message = refusal([instance()], {"sn1": info("half1"), "sn2": info()})
    assert "half0: no StorageNode that answered serves it" in message
    assert "see why none of sn1, sn2 does: is bareroot-storage.service running there?" in message
    assert LIMIT not in message


def test_a_seed_alone_does_not_say_that_there_is_no_root():
    assert "half1: no StorageNode" in refusal([instance()], {"sn1": info("half0", volumes={"half0": [SEED]}), "sn2": None})


def test_a_half_that_two_serve_is_refused():
    message = refusal([instance()], {"sn1": info("half0"), "sn2": info(*HALVES)})
    assert message.startswith("half0 is served by sn1 and by sn2: ")


@pytest.mark.parametrize("volume", [ROOT, SEED])
@pytest.mark.parametrize("make", [one, pair])
def test_a_volume_in_both_halves_is_refused(make, volume):
    message = refusal([instance()], make(half0=[volume], half1=[volume]))
    node = "sn1" if make is one else "sn2"
    assert message.startswith(f"{volume} is in half0 on sn1 and in half1 on {node}, and there must be one: ")


def test_a_seed_on_the_other_storage_node_is_refused():
    message = refusal([instance()], pair(half0=[ROOT], half1=[SEED]))
    assert message.startswith("web1-root is in half0 on sn1, but web1-seed in half1 on sn2: remove web1-seed there")


@pytest.mark.parametrize(
    ("infos", "places"),
    [
        pytest.param(pair(), [], id="gone"),
        pytest.param(pair(half1=[ROOT, SEED]), [("half1", "sn2")], id="there"),
        pytest.param(pair(half0=[SEED]), [("half0", "sn1")], id="seed-only"),
        pytest.param(pair(half0=[SEED], half1=[ROOT]), [("half0", "sn1"), ("half1", "sn2")], id="apart"),
        pytest.param(pair(half0=[ROOT], half1=[ROOT]), [("half0", "sn1"), ("half1", "sn2")], id="in-both"),
        pytest.param(one(half0=[SEED], half1=[ROOT]), [("half0", "sn1")], id="apart-on-one-node"),
        pytest.param({"sn1": None, "sn2": info("half1", volumes={"half1": [ROOT]})}, [("half1", "sn2")], id="the-other-unknown"),
    ],
)
@pytest.mark.parametrize("delete_volumes", [False, True])
def test_one_that_is_absent_is_where_volumes_of_it_are(infos, places, delete_volumes):
    assert _placement.place([absent(delete_volumes=delete_volumes)], infos) == [("web1", *place) for place in places]


def test_only_who_wants_volumes_deleted_must_know_all_halves():
    infos = {"sn1": info("half0"), "sn2": None}
    assert _placement.place([absent()], infos) == []
    assert LIMIT in refusal([absent(delete_volumes=True)], infos)
