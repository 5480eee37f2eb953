"""What fio leaves in its report's file, and who answered."""

from __future__ import annotations

from tests.e2e import loads
from tests.e2e.lab import Lab

REPORT = '{\n  "fio version" : "fio-3.39",\n  "jobs" : [\n    {"jobname" : "pair", "error" : 0, "read" : {"total_ios" : 128}}\n  ]\n}\n'


def test_a_report_is_found_behind_what_a_signal_made_fio_say():
    assert loads._fio_result(f"\nfio: terminating on signal 2\n{REPORT}") == loads._fio_result(REPORT)
    assert loads._fio_result(REPORT)["read"]["total_ios"] == 128


def test_who_answered_is_known_while_the_loads_run(tmp_path):
    lab = Lab(tmp_path)
    (tmp_path / "loads").mkdir()
    (tmp_path / "loads/servers.log").write_text("8.0 sn1-storage\n10.78.0.22 sn1-storage\n8.0 sn2-storage\n8.0 sn1-storage\n")
    assert loads.Loads(lab).servers() == {"8.0": ["sn1", "sn2", "sn1"], "10.78.0.22": ["sn1"]}


def test_the_longest_write_is_the_one_since_the_mark(tmp_path):
    (tmp_path / "loads").mkdir()
    logs = {name: tmp_path / f"loads/{name}.log" for name in loads.WITNESSES}
    for log in logs.values():
        log.write_text("1 10.0 9.0\n")
    loaded = loads.Loads(Lab(tmp_path))
    marks = loaded.marks()
    for log in logs.values():
        log.write_text("1 10.0 9.0\n2 12.0 1.5\nerror 5\n3 14.0 2.5\n4 16.0 3")
    assert loaded.waits(marks) == dict.fromkeys(logs, 2.5)
    assert loaded.waits(loaded.marks()) == dict.fromkeys(logs, 0.0)
