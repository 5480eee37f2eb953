"""What playbooks/migrate.yml prints of a migration that was done, announced or needless."""

from __future__ import annotations

from plugins.filter.migration_lines import FilterModule

migration_lines = FilterModule().filters()["migration_lines"]

PLACES = {"from": "hn1", "to": "hn2"}
MOVED = {**PLACES, "changed": True, "duration_s": 12.8, "blackout_ms": 1850, "probes_sent": 402, "probes_lost": 36, "probes_late": 1}


def test_a_migration_has_its_figures():
    assert migration_lines([MOVED], "web1") == ["web1 moved from hn1 to hn2 in 12.8 s: blackout 1850 ms, 36 of 402 probes lost"]


def test_a_migration_without_a_blackout_was_one_too():
    assert migration_lines([{**MOVED, "blackout_ms": 0, "probes_lost": 0}], "web1") == [
        "web1 moved from hn1 to hn2 in 12.8 s: blackout 0 ms, 0 of 402 probes lost"
    ]


def test_in_check_mode_there_are_no_figures():
    assert migration_lines([{**PLACES, "changed": True}], "web1") == ["web1 would move from hn1 to hn2"]


def test_one_that_is_there_stays_there():
    assert migration_lines([{"from": "hn2", "to": "hn2", "changed": False}], "web1") == ["web1 runs on hn2 already"]


def test_there_is_a_line_for_each_result_in_order():
    back = {**MOVED, "from": "hn2", "to": "hn1"}
    assert [line.split(" in ")[0] for line in migration_lines([MOVED, back], "web1")] == [
        "web1 moved from hn1 to hn2",
        "web1 moved from hn2 to hn1",
    ]
    assert migration_lines([], "web1") == []
