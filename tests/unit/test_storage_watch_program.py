"""The program on the ConfigNode that announces what becomes wrong with a pair: whom it asks, what it keeps, and how it says it."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
PROGRAM = PROJECT / "roles/cluster/files/storage_watch.py"
MODULES = PROJECT / "plugins/module_utils"
VARIABLES = yaml.safe_load((PROJECT / "roles/cluster/vars/main.yml").read_text(encoding="utf-8"))
NODES = ["sn1", "sn2"]
DRBD = """ 0: cs:{0} ro:Primary/Secondary ds:UpToDate/{1} C r-----
 1: cs:Connected ro:Secondary/Primary ds:UpToDate/UpToDate C r-----
== raid
== pools
"""
RESOURCE = '<resource id="bareroot-{}" role="{}"><node name="{}"/></resource>'
RESOURCES = [
    *((f"fence-{name}", "Started", "cn1") for name in NODES),
    *((half, "Started", "sn1") for half in ("half0", "half1")),
    *((f"drbd-{half}", "Unpromoted", name) for half in ("half0", "half1") for name in NODES),
]
MEMBER = '<node name="{}" online="true"/>'
CLUSTER = (
    "<pacemaker-result><summary><current_dc name='cn1' with_quorum='true'/></summary>"
    f"<nodes>{''.join(map(MEMBER.format, NODES))}</nodes>"
    f"<resources>{''.join(RESOURCE.format(*resource) for resource in RESOURCES)}</resources></pacemaker-result>"
)
GOOD = DRBD.format("Connected", "UpToDate")
BAD = DRBD.format("SyncSource", "Inconsistent")
SENTENCE = "sn1: half0: the other StorageNode is being brought up to date; until that is over only one StorageNode has all the data"
OVER = "over: sn1: half0: the other StorageNode is being brought up to date"


class ConfigNode:
    """Answers what the program runs, and keeps its file."""

    def __init__(self, program, directory, capsys, monkeypatch):
        self.answers = dict.fromkeys(NODES, (0, GOOD))
        self.settings = {"storage_nodes": NODES, "command": ""}
        self.memory = directory / "memory.json"
        self.asked, self.told = [], []
        self.command_fails = None
        self._capsys, self._program = capsys, program
        monkeypatch.setitem(program["look"].__globals__, "MEMORY", self.memory)
        monkeypatch.setattr(subprocess, "run", self._run)
        self.restart()

    def _run(self, argv, **options):
        if argv[0] == self.settings["command"]:
            assert options == {"stdin": subprocess.DEVNULL, "timeout": 60, "check": True}
            self.told.append(argv[1:])
            if self.command_fails:
                raise self.command_fails
            return None
        assert options == {"capture_output": True, "text": True, "errors": "replace", "timeout": 20, "check": False}
        self.asked.append(argv)
        if argv[0] != "ssh":
            return SimpleNamespace(returncode=0, stdout=CLUSTER)
        answer = self.answers[argv[-3]]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(returncode=answer[0], stdout=answer[1])

    def restart(self):
        self._seen = (self._program["recall"](), {})

    def look(self, sn1=(0, GOOD), times=2):
        """Look so many times, and return what went to the journal."""
        self.answers["sn1"] = sn1
        for _time in range(times):
            self._seen = self._program["look"](self.settings, *self._seen)
        return self._capsys.readouterr().out.splitlines()


@pytest.fixture
def config_node(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "plugins"))
    return ConfigNode(runpy.run_path(str(PROGRAM)), tmp_path, capsys, monkeypatch)


def test_nothing_is_said_of_a_pair_that_is_all_right(config_node):
    assert config_node.look() == []


def test_each_storage_node_is_asked_over_a_connection_of_its_own_and_the_cluster_here(config_node):
    config_node.look(times=1)
    *ssh, crm_mon = sorted(config_node.asked, key=lambda argv: (argv[0] != "ssh", argv))
    assert [argv[:-3] for argv in ssh] == [
        ["ssh", "-F", "/var/lib/bareroot/access/ssh_config", "-o", "ControlPath=/run/bareroot-storage-watch/%C"]
    ] * len(NODES)
    assert [argv[-3:-1] for argv in ssh] == [[name, "--"] for name in NODES]
    assert all(argv[-1].startswith("sh -c 'cat /proc/drbd; ") for argv in ssh)
    assert crm_mon == ["crm_mon", "--one-shot", "--inactive", "--output-as=xml"]


def test_what_becomes_wrong_is_a_warning_and_what_is_over_a_notice(config_node):
    assert config_node.look((0, BAD)) == [f"<4>{SENTENCE}"]
    assert config_node.look((0, BAD)) == []
    assert config_node.look() == [f"<5>{OVER}"]
    assert config_node.look() == []


def test_the_command_gets_each_sentence_as_one_argument(config_node):
    config_node.settings["command"] = "/usr/local/bin/page"
    config_node.look((0, BAD))
    config_node.look()
    assert config_node.told == [[SENTENCE], [OVER]]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "/usr/local/bin/page"), "No such file or directory: '/usr/local/bin/page'"),
        (subprocess.CalledProcessError(3, ["/usr/local/bin/page"]), "returned non-zero exit status 3."),
        (subprocess.TimeoutExpired(["/usr/local/bin/page"], 60), "timed out after 60 seconds"),
    ],
    ids=["missing", "fails", "hangs"],
)
def test_a_command_that_fails_is_an_error_in_the_journal_and_no_more(config_node, error, said):
    config_node.settings["command"] = "/usr/local/bin/page"
    config_node.command_fails = error
    sentence, wrong = config_node.look((0, BAD))
    assert sentence == f"<4>{SENTENCE}"
    assert wrong.startswith("<3>cluster_alert_command: ")
    assert wrong.endswith(said)
    assert config_node.look() == [f"<5>{OVER}", wrong]


@pytest.mark.parametrize(
    "answer",
    [(255, ""), subprocess.TimeoutExpired(["ssh"], 20), OSError(12, "Cannot allocate memory")],
    ids=["refused", "hangs", "no-memory"],
)
def test_who_does_not_answer_twice_in_a_row_is_silent(config_node, answer):
    assert config_node.look(answer, times=1) == []
    assert config_node.look() == []
    assert config_node.look(answer) == ["<4>sn1 does not answer the ConfigNode's ssh"]
    assert config_node.look() == ["<5>over: sn1 does not answer"]


def test_a_storage_node_on_which_a_program_fails_has_answered(config_node):
    assert config_node.look((1, GOOD)) == []
    assert config_node.look((127, BAD)) == [f"<4>{SENTENCE}"]


def test_after_a_restart_nothing_is_said_twice_and_nothing_that_ended_is_forgotten(config_node):
    config_node.look((0, BAD))
    config_node.restart()
    assert config_node.look((0, BAD)) == []
    config_node.restart()
    assert config_node.look() == [f"<5>{OVER}"]


@pytest.mark.parametrize("damage", ["", "{", "\0\0"])
def test_a_damaged_memory_is_an_empty_one(config_node, damage):
    config_node.look((0, BAD))
    config_node.memory.write_text(damage)
    config_node.restart()
    assert config_node.look((0, BAD)) == [f"<4>{SENTENCE}"]


def test_what_cannot_be_written_is_said_all_the_same(config_node):
    config_node.memory.mkdir()
    errors = [line for line in config_node.look((0, BAD)) if line.startswith("<3>what has been said will be said again after a restart: ")]
    # The cluster has answered; the half has changed.
    assert len(errors) == 2
    assert config_node.look() == [errors[0], f"<5>{OVER}"]


def test_what_is_known_is_written_only_when_it_changes(config_node):
    config_node.look((0, BAD))
    assert json.loads(config_node.memory.read_text())["problems"]["sn1"] == [OVER.removeprefix("over: ")]
    config_node.memory.chmod(0o400)
    before = config_node.memory.stat()
    config_node.look((0, BAD))
    assert config_node.memory.stat() == before
    assert list(config_node.memory.parent.iterdir()) == [config_node.memory]


def test_the_program_runs_with_just_the_modules_that_are_brought(tmp_path):
    (tmp_path / "module_utils").mkdir()
    for name in VARIABLES["__cluster_watch_modules"]:
        (tmp_path / "module_utils" / f"{name}.py").write_bytes((MODULES / f"{name}.py").read_bytes())
    (tmp_path / "storage-watch").write_bytes(PROGRAM.read_bytes())
    loaded = (
        "import runpy, sys; runpy.run_path(sys.argv[1]); print(*sorted(name for name in sys.modules if name.startswith('module_utils.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", loaded, tmp_path / "storage-watch"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [f"module_utils.{name}" for name in VARIABLES["__cluster_watch_modules"]]


def test_the_unit_gives_the_program_the_directories_that_it_uses():
    unit = (PROJECT / "roles/cluster/templates/storage-watch.service.j2").read_text(encoding="utf-8")
    text = PROGRAM.read_text(encoding="utf-8")
    for kind, base in (("RuntimeDirectory", "/run"), ("StateDirectory", "/var/lib")):
        assert f"\n{kind}=bareroot-storage-watch\n" in unit
        assert f"{base}/bareroot-storage-watch/" in text
    (settings,) = [file["path"] for file in VARIABLES["__cluster_watch_program"] if file["path"].endswith(".json")]
    assert f'SETTINGS = Path("{settings}")' in text
