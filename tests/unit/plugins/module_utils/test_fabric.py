from __future__ import annotations

import pytest

from plugins.module_utils import _fabric, _xen_host
from plugins.module_utils._access import Access
from plugins.module_utils._runner import RunError

BARE = (
    "== host\nnr_cpus : 1\nhw_caps : 078bf3fd\nvirt_caps : pv hvm hap\nfree_memory : 488\nxen_version : 4.20.5-pre\n"
    "== domains\nName ID Mem VCPUs\tState\tTime(s)\nDomain-0 0 1024 1 r----- 68.5\n"
    '== configurations\n[{"config": {"c_info": {"name": "Domain-0"}}}]\n== volumes\n== bridges\nxenbr0\n== migrations\n'
)
NODES = {
    "hn1": {"role": "hardware", "address": "10.0.0.21", "storage_address": "10.1.0.21"},
    "hn2": {"role": "hardware", "address": "10.0.0.22", "storage_address": "10.1.0.22"},
    "hn3": {"role": "hardware", "address": "10.0.0.23", "storage_address": "10.0.0.23"},
}
REACH = ["ssh", "-F", "/usr/lib/bareroot/migration_ssh_config"]


def failure(rc=255, out="", err=""):
    return RunError(["ssh"], rc, out, err, f"exit code {rc}")


class FakeAccess(Access):
    """Answers for the nodes, with a text or an error, each or all the same."""

    def __init__(self, answers=""):
        self.answers = answers
        self.calls = []

    def hardware_nodes(self):
        return NODES

    def run(self, node, argv, stdin="", timeout=60):
        self.calls.append((node, argv, stdin, timeout))
        answer = self.answers[node] if isinstance(self.answers, dict) else self.answers
        if isinstance(answer, RunError):
            raise answer
        return answer


def test_all_nodes_are_looked_at_and_the_silent_ones_named():
    route = "ssh: connect to host 10.0.0.22 port 22: No route to host"
    access = FakeAccess({"hn1": BARE, "hn2": failure(err=f"{route}\n"), "hn3": failure(rc=124)})
    view = _fabric.look(access)
    assert view.hosts == {"hn1": _xen_host.parse_inspection("hn1", BARE)}
    assert view.silent == {"hn2": route, "hn3": "ssh: exit code 124"}
    assert view.addresses == {}
    assert sorted(access.calls) == [(node, ["/usr/lib/bareroot/inspect"], "", 60) for node in NODES]


def test_some_nodes_are_asked_for_their_domains_only_and_the_silent_ones_left_out():
    access = FakeAccess({"hn1": BARE, "hn2": failure(rc=124), "hn3": BARE})
    assert _fabric.find_copies(access, ["hn1", "hn2"]) == {"hn1": _xen_host.parse_domains("hn1", BARE)}
    assert sorted(access.calls) == [(node, ["/usr/lib/bareroot/inspect", "--domains"], "", 60) for node in ("hn1", "hn2")]


def test_a_node_that_says_something_else_is_an_error_and_not_silence():
    with pytest.raises(ValueError, match=r"^hn2 does not say what a Xen host of bareroot says"):
        _fabric.look(FakeAccess({"hn1": BARE, "hn2": "Welcome\n", "hn3": BARE}))


def test_an_instance_is_started_from_its_configuration():
    access = FakeAccess()
    volumes = ["1.0", "1.1"]
    instance = {"name": "web1", "node": "hn2", "uuid": "u", "memory": 256, "vcpus": 1, "mac": "m", "bridge": "b", "volumes": volumes}
    _fabric.start(access, instance, 90)
    argv = ["/usr/lib/bareroot/instance-start", "1.0", "1.1"]
    assert access.calls == [("hn2", argv, _xen_host.configuration(instance), 90)]


def test_an_instance_is_asked_to_shut_down_and_waited_for():
    access = FakeAccess()
    _fabric.stop(access, "web1", "hn1", 90)
    assert access.calls == [("hn1", ["xl", "shutdown", "-w", "web1"], "", 90)]


def test_the_source_sends():
    access = FakeAccess()
    _fabric.send(access, "web1", "hn1", "hn2", 600)
    assert access.calls == [("hn1", ["/usr/lib/bareroot/migrate-send", "web1", "hn2", "10.1.0.22"], "", 600)]


@pytest.mark.parametrize(
    "act", [lambda access: _fabric.send(access, "web1", "hn1", "hn2", 1), lambda access: _fabric.stop(access, "w", "hn1", 1)]
)
def test_what_fails_there_fails_here(act):
    with pytest.raises(RunError):
        act(FakeAccess(failure(rc=1)))


@pytest.mark.parametrize("answer", ["", failure(rc=5)], ids=["stopped", "silent"])
def test_a_migration_is_aborted_as_far_as_can_be(answer):
    access = FakeAccess(answer)
    _fabric.abort(access, "web1", "hn1")
    assert access.calls == [("hn1", ["systemctl", "stop", "bareroot-migration-web1.service"], "", 60)]


@pytest.mark.parametrize("answer", ["", failure(rc=1)], ids=["found", "missing"])
def test_a_node_is_told_to_look_for_volumes(answer):
    access = FakeAccess(answer)
    _fabric.find_volumes(access, "hn2", ("1.0", "1.1"))
    assert access.calls == [("hn2", ["/usr/lib/bareroot/volumes-ready", "1.0", "1.1"], "", 60)]


def test_a_receiver_that_refuses_what_is_no_migration_is_right():
    access = FakeAccess("")
    assert _fabric.receiver_problem(access, "hn1", "hn2") == ""
    ((node, argv, stdin, _timeout),) = access.calls
    assert (node, argv[:2], stdin) == ("hn1", ["sh", "-c"], "")
    probe, _redirection, test = argv[2].partition(" 2>&1; ")
    assert probe.split() == [*REACH, "-o", "HostKeyAlias=hn2", "10.1.0.22", "probe"]
    assert test == "[ $? -eq 1 ] || exit 4"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (failure(4, "root@10.1.0.22: Permission denied (publickey).\n", "other"), "root@10.1.0.22: Permission denied (publickey)."),
        (failure(255, "", "ssh: no route\n"), "ssh: no route"),
        (failure(4), "ssh: exit code 4"),
    ],
    ids=["refused", "source-silent", "says-nothing"],
)
def test_why_a_receiver_cannot_be_reached_is_told(error, reason):
    assert _fabric.receiver_problem(FakeAccess(error), "hn1", "hn2") == reason


@pytest.mark.parametrize(
    ("source", "target", "address"),
    [("hn1", "hn2", "10.1.0.22"), ("hn2", "hn1", "10.1.0.21"), ("hn3", "hn2", "10.0.0.22"), ("hn2", "hn3", "10.0.0.23")],
)
def test_migrations_go_over_the_storage_network_where_both_are_on_it(source, target, address):
    assert _fabric.address_for_migrations(FakeAccess(), source, target) == address
