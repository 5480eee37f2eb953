from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from plugins.module_utils import _units
from plugins.modules import systemd_units

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
BOOT = 1_700_000_000


class Systemd:
    """A machine's systemd: its units, and what it was told to do. Time passes by a second with each command."""

    def __init__(self, run_module, commands):
        self.units = {}
        self.appear_at_reload = {}
        self.now = BOOT
        self.commands = commands
        self._run_module = run_module
        commands.answer("systemctl", with_=self._systemctl)

    def add(self, name, enabled=True, active=True, load="loaded"):
        self.units[name] = {"load": load, "enabled": enabled, "since": self.now if active else None}

    def _systemctl(self, argv):
        self.now += 1
        _program, verb, *arguments = argv
        names = [argument for argument in arguments if not argument.startswith("--")]
        if verb == "show":
            return 0, "\n".join(self._shown(name) for name in names), ""
        if verb == "daemon-reload":
            for name, state in self.appear_at_reload.items():
                self.add(name, **state)
            self.appear_at_reload = {}
        for name in names:
            self.units[name].update({"enabled": True} if verb == "enable" else {"since": self.now})
        return 0, "", ""

    def _shown(self, name):
        unit = self.units.get(name, {"load": "not-found", "enabled": False, "since": None})
        since = datetime.fromtimestamp(unit["since"], UTC).strftime("%a %Y-%m-%d %H:%M:%S.%f UTC") if unit["since"] else ""
        values = {
            "Id": name,
            "LoadState": unit["load"],
            "ActiveState": "active" if unit["since"] else "inactive",
            "UnitFileState": "enabled" if unit["enabled"] else "disabled" if unit["load"] == "loaded" else "",
            "ActiveEnterTimestamp": since,
        }
        return "".join(f"{key}={values[key]}\n" for key in _units.PROPERTIES)

    def run(self, *units, check_mode=False, **options):
        """Run the module on units, each a name or a name and its files."""
        named = [unit if isinstance(unit, tuple) else (unit, []) for unit in units]
        params = {"units": [{"name": name, "files": [str(path) for path in files]} for name, files in named], **options}
        self.commands.calls.clear()
        return self._run_module(systemd_units, params, check_mode=check_mode, diff=True)

    @property
    def verbs(self):
        """Return what systemctl was told last, `show` and its options left out."""
        said = [call.argv[1:] for call in self.commands.calls]
        return [words for words in said if words[0] != "show"]

    @property
    def shows(self):
        return sum(call.argv[1] == "show" for call in self.commands.calls)


@pytest.fixture
def systemd(run_module, commands):
    return Systemd(run_module, commands)


@pytest.fixture
def file(tmp_path):
    """Return a function that makes a configuration file, so many seconds after the boot."""

    def make(name, after_boot):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (BOOT + after_boot, BOOT + after_boot))
        return tmp_path / name

    return make


NOTHING = {"changed": False, "started": [], "restarted": [], "enabled": []}


def without_diff(result):
    return {key: value for key, value in result.items() if key != "diff"}


def everything(systemd, file):
    """Set up one unit of each sort, and return what the module is to be asked."""
    systemd.add("good.service")
    systemd.add("disabled.service", enabled=False)
    systemd.add("inactive.service", active=False)
    systemd.add("new.service", enabled=False, active=False)
    systemd.add("stale.service")
    return ["good.service", "disabled.service", "inactive.service", "new.service", ("stale.service", [file("a.conf", 3600)])]


def test_check_mode_says_what_would_be_done_and_only_looks(systemd, file):
    result = systemd.run(*everything(systemd, file), check_mode=True)
    assert without_diff(result) == {
        "changed": True,
        "started": ["inactive.service", "new.service"],
        "restarted": ["stale.service"],
        "enabled": ["disabled.service", "new.service"],
    }
    assert systemd.verbs == []
    assert systemd.shows == 1


def test_what_was_announced_is_what_is_done_in_as_few_commands_as_it_takes(systemd, file):
    units = everything(systemd, file)
    announced = systemd.run(*units, check_mode=True)
    systemd.now = BOOT + 7200
    assert systemd.run(*units) == announced
    assert systemd.verbs == [
        ["daemon-reload"],
        ["enable", "disabled.service", "new.service"],
        ["restart", "stale.service"],
        ["start", "inactive.service", "new.service"],
    ]
    assert systemd.shows == 1


@BOTH_MODES
def test_a_second_run_changes_nothing_and_only_looks(systemd, file, check_mode):
    units = everything(systemd, file)
    systemd.now = BOOT + 7200
    systemd.run(*units)
    result = systemd.run(*units, check_mode=check_mode)
    assert without_diff(result) == NOTHING
    assert result["diff"]["before"] == result["diff"]["after"]
    assert systemd.verbs == []
    assert systemd.shows == 1


@BOTH_MODES
def test_the_diff_shows_states_before_and_after(systemd, file, check_mode):
    assert systemd.run(*everything(systemd, file), check_mode=check_mode)["diff"] == {
        "before": "good.service: enabled, active\ndisabled.service: disabled, active\ninactive.service: enabled, inactive\n"
        "new.service: disabled, inactive\nstale.service: enabled, active\n",
        "after": "good.service: enabled, active\ndisabled.service: enabled, active\ninactive.service: enabled, active\n"
        "new.service: enabled, active\nstale.service: enabled, active (restarted)\n",
    }


@pytest.mark.parametrize(
    ("after_boot", "restarted"),
    [([], []), ([-1], []), ([1], ["a.service"]), ([-9, 1, -1], ["a.service"]), ([-9, -1], [])],
    ids=["no-file", "older", "newer", "one-of-many-newer", "all-older"],
)
def test_a_unit_that_started_before_one_of_its_files_changed_is_restarted(systemd, file, after_boot, restarted):
    systemd.add("a.service")
    result = systemd.run(("a.service", [file(str(number), when) for number, when in enumerate(after_boot)]))
    assert result["restarted"] == restarted
    assert result["changed"] is bool(restarted)


def test_a_file_that_is_not_there_restarts_nothing(systemd, tmp_path):
    systemd.add("a.service")
    assert not systemd.run(("a.service", [tmp_path / "missing"]))["changed"]


def test_a_file_of_one_unit_does_not_restart_another(systemd, file):
    systemd.add("a.service")
    systemd.add("b.service")
    assert systemd.run("a.service", ("b.service", [file("b.conf", 3600)]))["restarted"] == ["b.service"]


def test_a_restart_that_an_earlier_run_owed_is_made_up_for(systemd, commands, file):
    systemd.add("a.service")
    changed = file("a.conf", 60)
    systemd.now = BOOT + 120
    commands.answer("systemctl", "restart", with_=(1, "", "Job for a.service failed."))
    assert systemd.run(("a.service", [changed]))["failed"]
    commands.answer("systemctl", "restart", with_=systemd._systemctl)
    assert systemd.run(("a.service", [changed]))["restarted"] == ["a.service"]
    assert not systemd.run(("a.service", [changed]))["changed"]


def test_a_unit_that_went_away_and_has_a_newer_file_is_only_started(systemd, file):
    systemd.add("a.service", active=False)
    systemd.now = BOOT + 7200
    result = systemd.run(("a.service", [file("a.conf", 3600)]))
    assert (result["started"], result["restarted"]) == (["a.service"], [])
    assert systemd.verbs == [["daemon-reload"], ["start", "a.service"]]


def test_a_unit_that_is_not_installed_yet_would_be_started_says_check_mode(systemd):
    systemd.add("a.service")
    result = systemd.run("a.service", "absent.service", check_mode=True)
    assert without_diff(result) == {"changed": True, "started": ["absent.service"], "restarted": [], "enabled": ["absent.service"]}
    assert systemd.verbs == []


def test_a_unit_whose_file_was_just_written_is_found_after_a_reload(systemd):
    systemd.appear_at_reload = {"new.service": {"enabled": False, "active": False}}
    result = systemd.run("new.service")
    assert (result["enabled"], result["started"]) == (["new.service"], ["new.service"])
    assert systemd.verbs[0] == ["daemon-reload"]
    assert systemd.verbs[-2:] == [["enable", "new.service"], ["start", "new.service"]]
    assert not systemd.run("new.service")["changed"]


def test_units_that_are_not_there_after_one_reload_are_an_error_that_names_them_and_nothing_is_done(systemd):
    systemd.add("a.service", enabled=False, active=False)
    systemd.appear_at_reload = {"new.service": {"active": False}}
    result = systemd.run("absent.service", "a.service", "new.service", "other.socket")
    assert result["failed"]
    assert result["msg"] == "no such systemd units: absent.service, other.socket. Is their package installed?"
    assert systemd.verbs == [["daemon-reload"]]
    assert systemd.shows == 2


@pytest.mark.parametrize("verb", ["show", "daemon-reload", "enable", "restart", "start"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((1, "", "Job failed.\nSee journalctl -xe\n"), "exit code 1: See journalctl -xe", id="fails"),
        pytest.param((124, "", ""), "s, or killed", id="too-long"),
        pytest.param((127, "", "timeout: failed to run command"), "exit code 127: timeout: failed to run command", id="missing"),
    ],
)
def test_a_systemctl_that_fails_is_named_with_where_to_look(systemd, file, verb, answer, reason):
    units = everything(systemd, file)
    systemd.commands.answer("systemctl", verb, with_=answer)
    result = systemd.run(*units)
    assert result["failed"]
    assert result["msg"].startswith(f"cannot bring the units up: systemctl {verb}")
    assert result["msg"].endswith(f"{reason}; see journalctl --unit NAME")
    assert result["cmd"][:2] == ["systemctl", verb]
    assert result["rc"] == answer[0]
    assert systemd.commands.calls[-1].argv[1] == verb


def test_enabling_restarting_and_starting_have_the_given_deadline(systemd, commands, file):
    systemd.run(*everything(systemd, file), timeout=77)
    assert {call.argv[1]: call.timeout for call in commands.calls if call.argv[1] in ("restart", "start")} == {"restart": 77, "start": 77}


@pytest.mark.parametrize("params", [{}, {"units": [{"files": []}]}], ids=["units", "name"])
def test_a_missing_option_is_named(run_module, commands, params):
    result = run_module(systemd_units, params)
    assert result["failed"]
    assert ("name" if params else "units") in result["msg"]
    assert commands.calls == []
