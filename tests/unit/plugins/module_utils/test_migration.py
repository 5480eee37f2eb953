from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _migration
from plugins.module_utils._instances import View
from plugins.module_utils._migration import CODES, Facts, Verdict
from plugins.module_utils._xen_host import Domain, Host
from plugins.modules import live_migration

INCOMING, AWAY = "web1--incoming", "web1--migratedaway"
RUNNING, PAUSED, SUSPENDED, CRASHED, DYING = "-b----", "--p---", "---s--", "---sc-", "-----d"
WEB1 = Domain("web1", 1, 256, 1, RUNNING, "pvh", "6d4e", "00:16:3e:00:00:01", ("xenbr0",), ("1.0", "1.1"))
HN1 = Host(
    name="hn1",
    xen_version="4.20.5-pre",
    cpu="078bf3fd:80802001",
    virtualization=frozenset({"pv", "hvm", "hap"}),
    free_memory=488,
    cpus=1,
    volumes={"1.0": 1 << 30, "1.1": 4 << 20},
    bridges=frozenset({"xenbr0"}),
)
HN2 = replace(HN1, name="hn2")


def host(base, migrations=(), **states):
    """Return a host with copies of web1: web1, incoming and away, in these states."""
    names = {"web1": "web1", "incoming": INCOMING, "away": AWAY}
    copies = {names[key]: replace(WEB1, name=names[key], state=state) for key, state in states.items() if state}
    return replace(base, domains=copies, migrations=frozenset(migrations))


def seen(source=None, target=HN2, silent=(), **changes):
    """Return a view of two nodes. changes: of the instance, which runs on hn1."""
    source = source or replace(HN1, domains={"web1": replace(WEB1, **changes)})
    return View({node.name: node for node in (source, target) if node}, dict.fromkeys(silent, "No route to host"))


def found(view, target="hn2", facts=None):
    return _migration.check(view, "web1", target, facts or Facts())


# The view, the target, the facts, a part of the message.
CASES = {
    "NODE_UNKNOWN": (seen(), "hn9", Facts(), "hn9 is no HardwareNode; these are: hn1, hn2"),
    "TARGET_SILENT": (seen(target=None, silent=["hn2"]), "hn2", Facts(), "hn2 does not answer: No route to host"),
    "INSTANCE_NOT_RUNNING": (seen(HN1), "hn2", Facts(), "web1 runs nowhere: start it"),
    "INSTANCE_TWICE": (seen(target=host(HN2, web1=RUNNING)), "hn2", Facts(), "there are web1 on hn1, web1 on hn2"),
    "INSTANCE_NOT_LIVE": (seen(state=PAUSED), "hn2", Facts(), "web1 on hn1 has the state --p---; it must run"),
    "INSTANCE_SILENT": (seen(), "hn2", Facts(answers=False), "web1 does not answer the ConfigNode's probes"),
    "MIGRATION_RUNNING": (seen(host(HN1, ["db1", "web1"], web1=RUNNING)), "hn2", Facts(), "web1 is being migrated from hn1"),
    "TYPE_NOT_MIGRATABLE": (seen(type="pv"), "hn2", Facts(), "web1 is of the type pv; pvh and hvm can be migrated live"),
    "DISK_NOT_SHARED": (seen(other_disks=("/dev/sda", "")), "hn2", Facts(), "web1 has /dev/sda"),
    "DEVICE_ASSIGNED": (seen(devices=2), "hn2", Facts(), "web1 has 2 PCI device(s) of hn1"),
    "MEMORY_SHORT": (seen(target=replace(HN2, free_memory=255)), "hn2", Facts(), "web1 has 256 MiB and hn2 has 255 MiB free"),
    "XEN_DIFFERS": (seen(target=replace(HN2, xen_version="4.19.9")), "hn2", Facts(), "hn1 runs Xen 4.20.5-pre, hn2 4.19.9"),
    "CPU_DIFFERS": (seen(target=replace(HN2, cpu="078bf3fd:0")), "hn2", Facts(), "078bf3fd:80802001 on hn1 and 078bf3fd:0 on hn2"),
    "NO_VIRTUALIZATION": (seen(target=replace(HN2, virtualization=frozenset({"pv", "hvm"}))), "hn2", Facts(), "hn2 has no hvm and hap"),
    "VOLUME_MISSING": (seen(target=replace(HN2, volumes={"1.0": 1 << 30})), "hn2", Facts(), "hn2 does not see volume 1.1"),
    "VOLUME_DIFFERS": (
        seen(target=replace(HN2, volumes={"1.0": 2 << 30, "1.1": 4 << 20})),
        "hn2",
        Facts(),
        "volume 1.0 has 1073741824 bytes on hn1 and 2147483648 on hn2",
    ),
    "BRIDGE_MISSING": (seen(bridges=("xenbr0", "xenbr1")), "hn2", Facts(), "hn2 has no bridge xenbr1"),
    "RECEIVER_REFUSED": (seen(), "hn2", Facts(receiver="Permission denied"), "start Xen's migration receiver: Permission denied"),
}


@pytest.mark.parametrize("code", CASES)
def test_each_reason_alone(code):
    view, target, facts, message = CASES[code]
    (reason,) = found(view, target, facts)
    assert reason.code == code
    assert message in reason.message


def test_every_code_has_its_case():
    assert set(CASES) == set(CODES)


def test_the_documentation_lists_every_code_and_what_it_means():
    text = yaml.safe_load(live_migration.DOCUMENTATION)["description"][-1]
    assert dict(re.findall(r"C\(([A-Z_]+)\) ([^;]+)[;.]", text)) == CODES


@pytest.mark.parametrize(
    ("view", "codes"),
    [
        pytest.param(seen(), [], id="good"),
        pytest.param(seen(target=replace(HN2, free_memory=256)), [], id="memory-just-enough"),
        pytest.param(seen(target=replace(HN2, xen_version="4.20.0")), [], id="newer-of-one-release"),
        pytest.param(seen(silent=["hn3"]), [], id="another-node-silent"),
        pytest.param(seen(type="hvm", state="r-----"), [], id="hvm"),
        pytest.param(seen(host(HN1, ["db1"], web1=RUNNING)), [], id="another-migrates"),
        pytest.param(seen(target=replace(HN2, domains={"web10": replace(WEB1, name="web10")})), [], id="another-there"),
        pytest.param(seen(type=""), ["TYPE_NOT_MIGRATABLE"], id="type-unknown"),
        pytest.param(seen(state=CRASHED), ["INSTANCE_NOT_LIVE"], id="crashed"),
        pytest.param(seen(host(HN1, web1=RUNNING, away=SUSPENDED)), ["INSTANCE_TWICE"], id="left-over-on-source"),
        pytest.param(seen(target=host(HN2, incoming=PAUSED)), ["INSTANCE_TWICE"], id="left-over-on-target"),
        pytest.param(seen(HN1, silent=["hn3"]), ["INSTANCE_NOT_RUNNING"], id="nowhere-or-on-a-silent-node"),
        pytest.param(seen(target=replace(HN2, volumes={"1.0": 0, "1.1": 0})), ["VOLUME_MISSING"] * 2, id="volumes-down"),
    ],
)
def test_other_cases(view, codes):
    assert [reason.code for reason in found(view)] == codes


def test_a_node_that_is_silent_is_named_where_the_instance_is_not_found():
    assert "web1 runs nowhere; hn3 did not answer" in found(seen(HN1, silent=["hn3"]))[0].message


def test_all_reasons_are_told_together():
    target = replace(
        host(HN2, incoming=PAUSED),
        xen_version="4.21.0",
        cpu="other",
        virtualization=frozenset(),
        free_memory=0,
        volumes={"1.0": 512},
        bridges=frozenset(),
    )
    source = replace(HN1, migrations=frozenset({"web1"}))
    guest = replace(WEB1, type="pv", other_disks=("/dev/sda",), devices=1)
    reasons = found(seen(replace(source, domains={"web1": guest}), target), facts=Facts("refused", answers=False))
    missing = {"NODE_UNKNOWN", "TARGET_SILENT", "INSTANCE_NOT_RUNNING", "INSTANCE_NOT_LIVE"}
    assert sorted(reason.code for reason in reasons) == sorted(set(CODES) - missing)
    assert [reason.code for reason in found(seen(HN1, None, ["hn2"]))] == ["TARGET_SILENT", "INSTANCE_NOT_RUNNING"]


def test_nothing_is_asked_of_the_node_where_it_runs_already():
    assert found(seen(replace(HN1, free_memory=0, bridges=frozenset(), volumes={}, domains={"web1": WEB1})), "hn1") == []


def steps(*commands):
    """Return steps from texts such as `hn1 destroy web1`."""
    return [(words[0], ["xl", *words[1:]]) for words in (command.split() for command in commands)]


WAIT = Verdict(settled=False)
RESUME, RETURN = steps(f"hn1 rename {AWAY} web1", "hn1 resume web1"), steps("hn1 resume web1")
UNIT = {"migrations": ["web1"]}
# What is on the source and on the target (None: silent), the verdict while there is time, and when there is none.
STATES = {
    "never-left": ({"web1": RUNNING}, {}, Verdict("hn1"), Verdict("hn1")),
    "moved": ({}, {"web1": RUNNING}, Verdict("hn2"), Verdict("hn2")),
    "moved-and-idle": ({}, {"web1": "------"}, Verdict("hn2"), Verdict("hn2")),
    "runs-and-source-leaving": ({"away": SUSPENDED}, {"web1": RUNNING}, *[Verdict("hn2", steps=steps(f"hn1 destroy {AWAY}"))] * 2),
    "runs-and-source-suspended": ({"web1": SUSPENDED}, {"web1": RUNNING}, *[Verdict("hn2", steps=steps("hn1 destroy web1"))] * 2),
    "arrives-and-source-runs": ({"web1": RUNNING}, {"incoming": PAUSED}, WAIT, Verdict("hn1", steps=steps(f"hn2 destroy {INCOMING}"))),
    "arrives-and-source-suspended": (
        {"web1": SUSPENDED},
        {"incoming": PAUSED},
        WAIT,
        Verdict("hn1", steps=[*steps(f"hn2 destroy {INCOMING}"), *RETURN]),
    ),
    "arrives-and-source-leaving": (
        {"away": SUSPENDED},
        {"incoming": PAUSED},
        WAIT,
        Verdict("hn1", steps=[*steps(f"hn2 destroy {INCOMING}"), *RESUME]),
    ),
    "arrived-paused-and-source-leaving": (
        {"away": SUSPENDED},
        {"web1": PAUSED},
        WAIT,
        Verdict("hn1", steps=[*steps("hn2 destroy web1"), *RESUME]),
    ),
    "arrives-and-source-empty": ({}, {"incoming": PAUSED}, WAIT, Verdict("", steps=steps(f"hn2 destroy {INCOMING}"))),
    "nothing-anywhere": ({}, {}, Verdict(""), Verdict("")),
    "source-suspended": ({"web1": SUSPENDED}, {}, *[Verdict("hn1", steps=RETURN)] * 2),
    "source-leaving": ({"away": SUSPENDED}, {}, *[Verdict("hn1", steps=RESUME)] * 2),
    "source-paused": ({"web1": PAUSED}, {}, *[Verdict("hn1", steps=steps("hn1 unpause web1"))] * 2),
    "unit-runs": ({"web1": RUNNING, **UNIT}, {}, WAIT, Verdict("hn1")),
    "unit-runs-and-arrives": (
        {"web1": RUNNING, **UNIT},
        {"incoming": PAUSED},
        WAIT,
        Verdict("hn1", steps=steps(f"hn2 destroy {INCOMING}")),
    ),
    "target-silent-and-source-runs": ({"web1": RUNNING}, None, Verdict("hn1"), Verdict("hn1")),
    "source-silent-and-target-runs": (None, {"web1": RUNNING}, Verdict("hn2"), Verdict("hn2")),
}


@pytest.mark.parametrize("case", STATES)
@pytest.mark.parametrize("patient", [True, False], ids=["patient", "impatient"])
def test_what_a_migration_left_is_judged(case, patient):
    here, there, *verdicts = STATES[case]
    source, target = (None if states is None else host(base, **states) for base, states in ((HN1, here), (HN2, there)))
    assert _migration.resolve("web1", source, target, patient) == verdicts[not patient]


# And whether to look again.
PROBLEMS = {
    "both-run": ({"web1": RUNNING}, {"web1": RUNNING}, "destroy one of them at once", False),
    "runs-and-source-paused": ({"web1": PAUSED}, {"web1": RUNNING}, "destroy one of them at once", False),
    "both-silent": (None, None, "neither does the source", True),
    "target-silent-and-source-leaving": ({"away": SUSPENDED}, None, "the target does not answer and may run web1", True),
    "target-silent-and-source-suspended": ({"web1": SUSPENDED}, None, "the target does not answer and may run web1", True),
    "target-silent-and-source-paused": ({"web1": PAUSED}, None, "the target does not answer and may run web1", True),
    "target-silent-and-unit-runs": ({"web1": RUNNING, **UNIT}, None, "the target does not answer and may run web1", True),
    "target-silent-and-source-empty": ({}, None, "the target does not answer and may run web1", True),
    "source-silent-and-target-empty": (None, {}, "the source does not answer, and hn2 has no running copy of web1", True),
    "source-silent-and-arriving": (None, {"incoming": PAUSED}, "find out whether the source still runs it", True),
    "source-silent-and-arrived-paused": (None, {"web1": PAUSED}, "find out whether the source still runs it", True),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_what_only_a_person_may_decide_is_left_alone(case):
    here, there, problem, again = PROBLEMS[case]
    source, target = (None if states is None else host(base, **states) for base, states in ((HN1, here), (HN2, there)))
    for patient in (True, False):
        verdict = _migration.resolve("web1", source, target, patient)
        assert problem in verdict.problem
        assert (verdict.node, verdict.steps) == ("", [])
        assert verdict.settled or again
    assert _migration.resolve("web1", source, target, True).settled != again


@pytest.mark.parametrize("state", [CRASHED, DYING])
def test_a_copy_that_crashed_or_dies_is_not_resumed(state):
    verdict = _migration.resolve("web1", host(HN1, web1=state), HN2, False)
    assert "resume" not in [command[1] for _node, command in verdict.steps]
    assert verdict.node == ""


@pytest.mark.parametrize("state", [SUSPENDED, CRASHED])
def test_a_source_is_not_resumed_after_the_target_has_run_and_written(state):
    # What shut down or crashed has run, unlike what is paused: the source's memory is older than the volume.
    verdict = _migration.resolve("web1", host(HN1, away=SUSPENDED), host(HN2, web1=state), False)
    assert "resume" not in [command[1] for _node, command in verdict.steps]


def is_live(state):
    return not set(state) & set("pscd")


def after(commands, nodes):
    """Return what is on the nodes after these commands; fail where one destroys what runs, or cannot be done."""
    nodes = {name: dict(copies) for name, copies in nodes.items()}
    for node, (program, verb, *names) in commands:
        copies = nodes[node]
        assert program == "xl"
        state = copies.pop(names[0])
        if verb == "destroy":
            assert not is_live(state)
        elif verb == "rename":
            assert names[1] not in copies
            copies[names[1]] = state
        else:
            cleared = {"resume": "s", "unpause": "p"}[verb]
            assert cleared in state
            copies[names[0]] = state.replace(cleared, "-")
    return nodes


def judged(here, there, unit, silent, patient):
    """Return the verdict, what is on the nodes that answer, and what is there after the verdict's steps."""
    nodes = {name: copies for name, copies in (("hn1", here), ("hn2", there)) if name not in silent}
    hosts = {
        base.name: replace(
            base,
            domains={name: replace(WEB1, name=name, state=state) for name, state in nodes[base.name].items()},
            migrations=frozenset({"web1"} if unit and base is HN1 else ()),
        )
        for base in (HN1, HN2)
        if base.name in nodes
    }
    verdict = _migration.resolve("web1", hosts.get("hn1"), hosts.get("hn2"), patient)
    return verdict, nodes, after(verdict.steps, nodes)


def living(nodes):
    return [(node, name) for node, copies in nodes.items() for name, state in copies.items() if is_live(state)]


SILENT = st.sets(st.sampled_from(["hn1", "hn2"]))
# What xl leaves: on the source one copy, which is suspended before it is renamed; on the target one that runs under its own name only.
HERE = st.sampled_from([{}, {"web1": RUNNING}, {"web1": "r-----"}, {"web1": PAUSED}, {"web1": SUSPENDED}, {AWAY: SUSPENDED}])
THERE = st.sampled_from([{}, {INCOMING: PAUSED}, {"web1": PAUSED}, {"web1": RUNNING}, {"web1": "------"}])


@given(HERE, THERE, st.booleans(), SILENT, st.booleans())
def test_of_what_xl_leaves_one_copy_runs_where_the_verdict_says(here, there, unit, silent, patient):
    verdict, before, nodes = judged(here, there, unit, silent, patient)
    if verdict.problem:
        assert (verdict.node, nodes) == ("", before)
    elif not verdict.settled:
        assert patient
        assert (verdict.node, nodes) == ("", before)
    else:
        assert living(nodes) == ([(verdict.node, "web1")] if verdict.node else [])
        assert verdict.node or not living(before)


COPIES = st.dictionaries(
    st.sampled_from(["web1", INCOMING, AWAY]), st.sampled_from(["r-----", RUNNING, "------", PAUSED, SUSPENDED, CRASHED, DYING, "--ps--"])
)


@given(COPIES, COPIES, st.booleans(), SILENT, st.booleans())
def test_whatever_is_there_nothing_runs_twice_and_what_runs_is_not_destroyed(here, there, unit, silent, patient):
    verdict, _before, nodes = judged(here, there, unit, silent, patient)
    assert not verdict.steps or (verdict.settled and not verdict.problem)
    assert len(living(nodes)) <= 1 or verdict.problem or not verdict.settled


def test_a_guest_that_does_not_suspend_is_explained():
    said = "migration sender: libxl_domain_suspend failed (rc=-3)\nMigration failed, failed to suspend at sender."
    assert _migration.explain(said).startswith("The guest did not suspend itself: ")
    assert _migration.explain(said).endswith(f"xl said: {said}")
    assert _migration.explain("Domain creation failed") == "xl said: Domain creation failed"
