"""What fio leaves in its report's file."""

from __future__ import annotations

from tests.e2e import loads

REPORT = '{\n  "fio version" : "fio-3.39",\n  "jobs" : [\n    {"jobname" : "pair", "error" : 0, "read" : {"total_ios" : 128}}\n  ]\n}\n'


def test_a_report_is_found_behind_what_a_signal_made_fio_say():
    assert loads._fio_result(f"\nfio: terminating on signal 2\n{REPORT}") == loads._fio_result(REPORT)
    assert loads._fio_result(REPORT)["read"]["total_ios"] == 128
