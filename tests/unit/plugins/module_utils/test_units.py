from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _units
from plugins.module_utils._runner import RunError, Runner

Plan, State = _units.Plan, _units.State
RUNNING = State(load="loaded", active=True, enabled=True, since=1000.0)


@pytest.fixture
def far_east(monkeypatch):
    """Set this process's time zone nine hours east of Greenwich, and return that in seconds west."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EAST-9")
        time.tzset()
        yield -9 * 3600
    time.tzset()


def block(**properties):
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def test_one_command_asks_for_all_units_and_every_property_that_is_read():
    argv = _units.show_argv(["a.service", "b.socket"])
    assert argv[:2] == ["systemctl", "show"]
    assert argv[-2:] == ["a.service", "b.socket"]
    (asked,) = [option.partition("=")[2] for option in argv if option.startswith("--property=")]
    assert {"LoadState", "ActiveState", "UnitFileState", "ActiveEnterTimestamp"} <= set(asked.split(","))
    assert "--timestamp=us+utc" in argv


def test_blocks_belong_to_the_units_in_the_order_asked_for():
    output = "\n".join(
        [
            block(Id="a.service", LoadState="loaded", ActiveState="active", UnitFileState="enabled"),
            block(Id="other-name.service", LoadState="loaded", ActiveState="inactive", UnitFileState="disabled"),
            block(Id="c.service", LoadState="not-found", ActiveState="inactive", UnitFileState=""),
        ]
    )
    assert _units.parse(output, ["a.service", "alias.service", "c.service"]) == {
        "a.service": State("loaded", True, True, 0.0),
        "alias.service": State("loaded", False, False, 0.0),
        "c.service": State("not-found", False, False, 0.0),
    }


def test_properties_count_whatever_their_order_and_an_equals_sign_belongs_to_the_value():
    output = "ActiveEnterTimestamp=\nUnitFileState=enabled\nDescription=a=b\n\nActiveState=active\nLoadState=loaded\n"
    assert _units.parse(output, ["a", "b"]) == {"a": State("", False, True, 0.0), "b": State("loaded", True, False, 0.0)}


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]], ids=["too-many", "too-few"])
def test_another_number_of_blocks_than_units_is_refused(names):
    with pytest.raises(ValueError, match=r"zip\(\)"):
        _units.parse("Id=a\n\nId=b\n", names)


@pytest.mark.parametrize(
    ("active_state", "active"),
    [("active", True), ("reloading", True), ("activating", False), ("deactivating", False), ("inactive", False), ("failed", False)],
)
def test_which_units_are_active(active_state, active):
    assert _units.parse(block(ActiveState=active_state), ["a"])["a"].active is active


@pytest.mark.parametrize(
    ("file_state", "enabled"),
    [
        *((state, True) for state in ("enabled", "static", "indirect", "generated", "alias")),
        *((state, False) for state in ("disabled", "masked", "enabled-runtime", "linked", "bad", "")),
    ],
)
def test_which_units_need_no_enabling(file_state, enabled):
    assert _units.parse(block(UnitFileState=file_state), ["a"])["a"].enabled is enabled


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        pytest.param("", 0.0, id="never"),
        pytest.param("Thu 1970-01-01 00:00:01.000000 UTC", 1.0, id="epoch"),
        pytest.param(
            "Fri 2026-11-20 06:21:39.123456 UTC", datetime(2026, 11, 20, 6, 21, 39, 123456, tzinfo=UTC).timestamp(), id="microseconds"
        ),
        pytest.param("Fri 2026-11-20 06:21:39 UTC", datetime(2026, 11, 20, 6, 21, 39, tzinfo=UTC).timestamp(), id="seconds"),
    ],
)
def test_timestamps_are_seconds_since_1970_whatever_the_machines_time_zone(timestamp, seconds, far_east):
    assert time.timezone == far_east
    assert _units.parse(block(ActiveEnterTimestamp=timestamp), ["a"])["a"].since == seconds


@pytest.mark.parametrize("timestamp", ["Fri 2026-11-20 07:21:39.123456 CET", "n/a", "1795155699"], ids=["other-zone", "word", "number"])
def test_a_timestamp_that_is_not_what_was_asked_for_is_refused(timestamp):
    with pytest.raises(ValueError, match=r"."):
        _units.parse(block(ActiveEnterTimestamp=timestamp), ["a"])


def test_the_newest_file_counts_and_one_that_is_not_there_does_not(tmp_path):
    for name, when in (("old", 100), ("new", 300), ("middle", 200)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (when + 5000, when))
    paths = [str(tmp_path / name) for name in ("old", "new", "middle", "missing")]
    assert _units.newest(paths) == 300.0
    assert _units.newest(paths[:1]) == 100.0
    assert _units.newest(paths[3:]) == _units.newest([]) == 0.0


@pytest.mark.parametrize(
    ("state", "changed", "expected"),
    [
        pytest.param(RUNNING, 0.0, Plan(), id="no-files"),
        pytest.param(RUNNING, 999.9, Plan(), id="older-file"),
        pytest.param(RUNNING, 1000.1, Plan(restart=["a"]), id="newer-file"),
        pytest.param(State("loaded", True, False, 1000.0), 0.0, Plan(enable=["a"]), id="disabled"),
        pytest.param(State("loaded", False, True, 0.0), 0.0, Plan(start=["a"]), id="never-started"),
        pytest.param(State("loaded", False, True, 1000.0), 2000.0, Plan(start=["a"]), id="stopped-and-newer-file"),
        pytest.param(State("loaded", False, False, 0.0), 0.0, Plan(enable=["a"], start=["a"]), id="disabled-and-inactive"),
        pytest.param(State("loaded", True, False, 1000.0), 2000.0, Plan(enable=["a"], restart=["a"]), id="disabled-and-newer-file"),
        pytest.param(State("not-found", False, False, 0.0), 0.0, Plan(enable=["a"], start=["a"]), id="not-found"),
    ],
)
def test_what_is_to_be_done(state, changed, expected):
    plan = _units.plan({"a": changed}, {"a": state})
    assert plan == expected
    assert bool(plan) is (expected != Plan())


def test_units_are_planned_each_for_itself_in_their_order():
    states = {"a": State("loaded", False, False, 0.0), "b": RUNNING, "c": State("loaded", False, True, 0.0), "d": RUNNING}
    assert _units.plan({"a": 0.0, "b": 2000.0, "c": 0.0, "d": 0.0}, states) == Plan(enable=["a"], start=["a", "c"], restart=["b"])


def test_a_description_tells_states_before_and_after():
    states = {"a": State("loaded", False, False, 0.0), "b": RUNNING, "c": RUNNING}
    plan = Plan(enable=["a"], start=["a"], restart=["b"])
    assert _units.describe(states, None) == "a: disabled, inactive\nb: enabled, active\nc: enabled, active\n"
    assert _units.describe(states, plan) == "a: enabled, active\nb: enabled, active (restarted)\nc: enabled, active\n"


def systemctl(answer, asked):
    """Return a runner whose only program answers so, and notes what it was asked."""

    def run_command(args, **_options):
        asked.append(args[3:])
        return answer

    return Runner(SimpleNamespace(run_command=run_command))


STATES = st.sampled_from(["active", "inactive", "failed", "activating", "deactivating", "reloading", "unknown"])


@given(st.dictionaries(st.sampled_from([f"unit-{number}.service" for number in range(9)]), STATES, min_size=1))
def test_one_command_tells_of_many_units_which_are_active(states):
    asked = []
    code = 0 if "active" in states.values() else 3
    runner = systemctl((code, "".join(f"{state}\n" for state in states.values()), ""), asked)
    assert _units.active(runner, list(states)) == {name for name, state in states.items() if state == "active"}
    assert asked == [["systemctl", "is-active", *states]]


def test_of_no_units_nothing_is_asked():
    asked = []
    assert _units.active(systemctl((1, "", ""), asked), []) == set()
    assert asked == []


@pytest.mark.parametrize("code", [0, 3, 4], ids=["running", "not-running", "no-such-unit"])
def test_units_that_are_down_or_that_there_are_not_are_an_answer(code):
    assert _units.active(systemctl((code, "inactive\nactive\nunknown\n", ""), []), ["a", "b", "c"]) == {"b"}


@pytest.mark.parametrize("code", [1, 5, 124, 127])
def test_a_systemctl_that_fails_is_no_answer(code):
    with pytest.raises(RunError, match=r"^systemctl is-active a b: "):
        _units.active(systemctl((code, "active\nactive\n", "no bus"), []), ["a", "b"])


@pytest.mark.parametrize("output", ["", "active\n", "active\nactive\nactive\n"], ids=["none", "too-few", "too-many"])
def test_another_number_of_answers_than_units_is_refused(output):
    with pytest.raises(ValueError, match=r"zip\(\)"):
        _units.active(systemctl((0, output, ""), []), ["a", "b"])
