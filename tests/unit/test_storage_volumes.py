"""What is made of the seconds that volumes take."""

from __future__ import annotations

from tests.bench import storage_volumes


def test_medians_are_compared():
    few = [dict.fromkeys(storage_volumes.STEPS, seconds) for seconds in (2.0, 9.0, 4.0)]
    many = [dict.fromkeys(storage_volumes.STEPS, seconds) for seconds in (8.0, 5.0, 1.0)]
    many[0]["remove"] = many[1]["remove"] = 8.0
    lines = list(storage_volumes.report(few, many, (10, 1000)))
    assert lines[0] == "make: 10 volumes 4.0 s, 1000 volumes 5.0 s; ratio 1.25; limit 1.5 kept"
    assert lines[-1] == "remove: 10 volumes 4.0 s, 1000 volumes 8.0 s; ratio 2.00; limit 1.5 MISSED by 0.50"
