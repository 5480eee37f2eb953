from __future__ import annotations

import os

import pytest

from plugins.modules import config_files

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])


class Machine:
    """A directory that stands for a machine's root, and the module run on it."""

    def __init__(self, base, run_module):
        self.base = base
        self._run_module = run_module

    def file(self, name, **options):
        return {"path": str(self.base / name), **options}

    def run(self, *files, absent=(), check_mode=False):
        params = {"files": list(files), "absent": [str(self.base / name) for name in absent]}
        return self._run_module(config_files, params, check_mode=check_mode, diff=True)

    def tree(self):
        """Return everything that is there: permissions, and contents or where a link points."""
        found = {}
        for path in self.base.rglob("*"):
            contents = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(self.base))] = (path.lstat().st_mode & 0o7777, contents)
        return found

    def names(self, result):
        return [os.path.relpath(path, self.base) for path in result["files"]]


@pytest.fixture
def machine(tmp_path, run_module):
    return Machine(tmp_path, run_module)


def test_check_mode_says_what_would_change_and_changes_nothing(machine):
    (machine.base / "old").write_text("old\n")
    (machine.base / "surplus").write_text("surplus\n")
    before = machine.tree()
    files = [machine.file("new", content="new\n"), machine.file("old", content="changed\n"), machine.file("etc/link", link="/target")]
    result = machine.run(*files, absent=["surplus"], check_mode=True)
    assert result["changed"]
    assert machine.names(result) == ["new", "old", "etc/link", "surplus"]
    assert machine.tree() == before


def test_what_was_announced_is_what_is_done(machine):
    (machine.base / "old").write_text("old\n")
    (machine.base / "surplus").write_text("surplus\n")
    files = [
        machine.file("new", content="new\n"),
        machine.file("old", content="é\n", mode="0600"),
        machine.file("tool", content="#!/bin/sh\n", mode="0755"),
        machine.file("link", link="/target"),
    ]
    announced = machine.run(*files, absent=["surplus"], check_mode=True)
    assert machine.run(*files, absent=["surplus"]) == announced
    assert machine.tree() == {
        "new": (0o644, b"new\n"),
        "old": (0o600, "é\n".encode()),
        "tool": (0o755, b"#!/bin/sh\n"),
        "link": (0o777, "/target"),
    }


@BOTH_MODES
def test_a_second_run_changes_nothing(machine, check_mode):
    files = [machine.file("a/b", content="x\n", mode="0640"), machine.file("link", link="a/b"), machine.file("empty", content="")]
    machine.run(*files, absent=["gone"])
    before, inode = machine.tree(), (machine.base / "a/b").stat().st_ino
    result = machine.run(*files, absent=["gone"], check_mode=check_mode)
    assert result == {"changed": False, "files": [], "diff": []}
    assert machine.tree() == before
    assert (machine.base / "a/b").stat().st_ino == inode


def test_parent_directories_are_made(machine):
    machine.run(machine.file("etc/deep/er/a.conf", content="x\n"), machine.file("srv/links/a", link="/target"))
    assert (machine.base / "etc/deep/er/a.conf").read_text() == "x\n"
    assert os.readlink(machine.base / "srv/links/a") == "/target"


def test_only_files_that_differ_are_written_again(machine):
    files = [machine.file(name, content=f"{name}\n") for name in "abc"]
    machine.run(*files)
    inodes = {name: (machine.base / name).stat().st_ino for name in "abc"}
    (machine.base / "b").write_text("somebody's\n")
    assert machine.names(machine.run(*files)) == ["b"]
    assert (machine.base / "b").read_text() == "b\n"
    assert {name for name in "abc" if (machine.base / name).stat().st_ino != inodes[name]} == {"b"}


@BOTH_MODES
def test_an_empty_file_is_not_the_same_as_none(machine, check_mode):
    assert machine.names(machine.run(machine.file("empty", content=""), check_mode=check_mode)) == ["empty"]
    assert (machine.base / "empty").exists() is not check_mode


@pytest.mark.parametrize(("mode", "expected"), [("0600", 0o600), ("0755", 0o755), ("0644", 0o644)])
def test_permissions_are_set_whatever_the_umask_and_mended(machine, mode, expected):
    wanted = machine.file("a", content="x\n", mode=mode)
    before = os.umask(0o077)
    try:
        machine.run(wanted)
    finally:
        os.umask(before)
    assert machine.tree()["a"][0] == expected
    (machine.base / "a").chmod(0o666)
    assert machine.run(wanted, check_mode=True)["changed"]
    assert machine.tree()["a"][0] == 0o666
    assert machine.names(machine.run(wanted)) == ["a"]
    assert machine.tree()["a"] == (expected, b"x\n")
    assert not machine.run(wanted)["changed"]


@pytest.mark.parametrize("present", ["nothing", "file", "other link", "dangling link"])
def test_a_link_takes_the_place_of_whatever_file_was_there(machine, present):
    (machine.base / "other").write_text("other\n")
    if present == "file":
        (machine.base / "link").write_text("file\n")
    elif present != "nothing":
        (machine.base / "link").symlink_to("other" if present == "other link" else "nowhere")
    wanted = machine.file("link", link="target")
    assert machine.names(machine.run(wanted)) == ["link"]
    assert machine.tree() == {"other": (0o644, b"other\n"), "link": (0o777, "target")}
    assert not machine.run(wanted)["changed"]


def test_a_file_takes_the_place_of_a_link_even_when_its_target_is_equal(machine):
    (machine.base / "target").write_text("x\n")
    (machine.base / "a").symlink_to("target")
    wanted = machine.file("a", content="x\n")
    assert machine.names(machine.run(wanted)) == ["a"]
    assert machine.tree() == {"target": (0o644, b"x\n"), "a": (0o644, b"x\n")}
    assert not machine.run(wanted)["changed"]


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_what_must_not_be_there_is_removed_and_what_it_links_to_is_not(machine, kind):
    (machine.base / "target").write_text("kept\n")
    if kind == "file":
        (machine.base / "surplus").write_text("x\n")
    else:
        (machine.base / "surplus").symlink_to("target" if kind == "link" else "nowhere")
    assert machine.names(machine.run(absent=["surplus"], check_mode=True)) == ["surplus"]
    assert os.path.lexists(machine.base / "surplus")
    assert machine.names(machine.run(absent=["surplus"])) == ["surplus"]
    assert machine.tree() == {"target": (0o644, b"kept\n")}
    assert not machine.run(absent=["surplus"])["changed"]


@BOTH_MODES
def test_the_diff_shows_each_file_before_and_after(machine, check_mode):
    (machine.base / "old").write_text("old\n")
    (machine.base / "surplus").write_text("surplus\n")
    files = [machine.file("old", content="new\n"), machine.file("new", content="all new\n"), machine.file("link", link="/target")]
    result = machine.run(*files, absent=["surplus"], check_mode=check_mode)
    assert [(part["before"], part["after"]) for part in result["diff"]] == [
        ("old\n", "new\n"),
        ("", "all new\n"),
        ("", "-> /target\n"),
        ("surplus\n", ""),
    ]
    assert [part["after_header"] for part in result["diff"]] == [part["before_header"] for part in result["diff"]] == result["files"]


def test_contents_that_are_not_text_are_replaced_and_only_counted_in_the_diff(machine):
    (machine.base / "a").write_bytes(b"\xff\x00\xfe")
    (part,) = machine.run(machine.file("a", content="text\n"))["diff"]
    assert (part["before"], part["after"]) == ("3 bytes that are not text\n", "text\n")
    assert (machine.base / "a").read_bytes() == b"text\n"


@BOTH_MODES
@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({}, "one of the following is required: content, link found in files", id="neither"),
        pytest.param(
            {"content": "x", "link": "/x"}, "parameters are mutually exclusive: content|link found in files", id="content-and-link"
        ),
        pytest.param({"content": "x", "owner": "root"}, "owner", id="unknown-option"),
    ],
)
def test_a_file_is_either_text_or_a_link(machine, options, message, check_mode):
    result = machine.run(machine.file("good", content="x\n"), machine.file("bad", **options), check_mode=check_mode)
    assert result["failed"]
    assert message in result["msg"]
    assert machine.tree() == {}


@pytest.mark.parametrize("option", ["path", "files"])
def test_a_missing_option_is_named(run_module, option):
    result = run_module(config_files, {} if option == "files" else {"files": [{"content": "x"}]})
    assert result["failed"]
    assert option in result["msg"]


@BOTH_MODES
@pytest.mark.parametrize("content_or_link", [{"content": "x\n"}, {"link": "/target"}], ids=["content", "link"])
def test_a_directory_in_place_of_a_file_is_an_error_that_names_it_before_anything_is_written(machine, content_or_link, check_mode):
    (machine.base / "directory/inside").mkdir(parents=True)
    before = machine.tree()
    result = machine.run(machine.file("first", content="x\n"), machine.file("directory", **content_or_link), check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith("cannot write the files: ")
    assert str(machine.base / "directory") in result["msg"]
    assert machine.tree() == before


def test_a_file_in_place_of_a_parent_directory_is_an_error_that_names_it(machine):
    (machine.base / "parent").write_text("x\n")
    before = machine.tree()
    result = machine.run(machine.file("parent/a", content="x\n"))
    assert result["failed"]
    assert result["msg"].startswith("cannot write the files: ")
    assert str(machine.base / "parent") in result["msg"]
    assert machine.tree() == before


@pytest.mark.parametrize("mode", ["rw", "0899", ""], ids=["letters", "not-octal", "empty"])
def test_permissions_that_are_no_octal_digits_are_an_error_and_nothing_is_written(machine, mode):
    result = machine.run(machine.file("a", content="x\n", mode=mode))
    assert result["failed"]
    assert result["msg"].startswith("cannot write the files: ")
    assert machine.tree() == {}


def test_a_write_that_fails_leaves_no_temporary_file(machine, monkeypatch):
    def no_space(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    result = machine.run(machine.file("a", content="x\n"))
    assert result["failed"]
    assert "No space left on device" in result["msg"]
    assert machine.tree() == {}
