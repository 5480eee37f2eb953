from __future__ import annotations

import os

import pytest

from plugins.module_utils import _tree

Change = _tree.Change


def names(directory):
    return sorted(entry.name for entry in directory.iterdir())


@pytest.mark.parametrize(
    ("present", "wanted", "expected"),
    [
        pytest.param({}, {}, [], id="empty"),
        pytest.param({"a": b"1"}, {"a": b"1"}, [], id="equal"),
        pytest.param({}, {"a": b"1"}, [Change("a", None, b"1")], id="new"),
        pytest.param({}, {"a": b""}, [Change("a", None, b"")], id="new-and-empty"),
        pytest.param({"a": b"1"}, {"a": b"2"}, [Change("a", b"1", b"2")], id="differs"),
        pytest.param({"a": b"1"}, {}, [Change("a", b"1", None)], id="goes"),
        pytest.param(
            {"c": b"1"}, {"b": b"2", "a": b"3"}, [Change("a", None, b"3"), Change("b", None, b"2"), Change("c", b"1", None)], id="sorted"
        ),
    ],
)
def test_applying_what_differs_leaves_nothing_that_differs(present, wanted, expected, tmp_path):
    for name, data in present.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o644)
    target = _tree.Target(str(tmp_path), 0o644)
    changes = target.compare(wanted)
    assert changes == expected
    target.apply(changes)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == wanted
    assert target.compare(wanted) == []


def test_a_directory_that_is_not_there_is_empty_and_gets_made(tmp_path):
    directory = tmp_path / "new" / "deep"
    target = _tree.Target(str(directory), 0o644)
    changes = target.compare({"a": b"1"})
    assert not directory.exists()
    target.apply(changes)
    assert (directory / "a").read_bytes() == b"1"


def test_subdirectories_are_left_alone(tmp_path):
    (tmp_path / "sub").mkdir()
    assert _tree.Target(str(tmp_path), 0o644).compare({}) == []


@pytest.mark.parametrize("mode", [0o644, 0o777], ids=oct)  # 0777 is what a link itself has
def test_a_link_in_place_of_a_file_is_replaced_even_when_its_target_is_equal(mode, tmp_path):
    (tmp_path / "target").write_bytes(b"1")
    (tmp_path / "target").chmod(mode)
    served = tmp_path / "served"
    served.mkdir()
    (served / "a").symlink_to(tmp_path / "target")
    target = _tree.Target(str(served), mode)
    changes = target.compare({"a": b"1"})
    assert [change.path for change in changes] == ["a"]
    target.apply(changes)
    assert not (served / "a").is_symlink()
    assert (served / "a").read_bytes() == b"1"
    assert (tmp_path / "target").read_bytes() == b"1"
    assert target.compare({"a": b"1"}) == []


def test_a_dangling_link_in_place_of_a_file_is_replaced(tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    (served / "a").symlink_to(tmp_path / "nowhere")
    target = _tree.Target(str(served), 0o644)
    target.apply(target.compare({"a": b"1"}))
    assert (served / "a").read_bytes() == b"1"
    assert names(tmp_path) == ["served"]


def test_a_link_that_is_not_wanted_is_removed_and_its_target_is_not(tmp_path):
    (tmp_path / "target").write_bytes(b"1")
    served = tmp_path / "served"
    served.mkdir()
    (served / "stray").symlink_to(tmp_path / "target")
    target = _tree.Target(str(served), 0o644)
    changes = target.compare({})
    assert [change.path for change in changes] == ["stray"]
    target.apply(changes)
    assert names(served) == []
    assert (tmp_path / "target").read_bytes() == b"1"


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755, 0o4644], ids=oct)
def test_wrong_permissions_are_mended(mode, tmp_path):
    target = _tree.Target(str(tmp_path), 0o644)
    target.apply(target.compare({"a": b"1"}))
    (tmp_path / "a").chmod(mode)
    changes = target.compare({"a": b"1"})
    assert changes == [Change("a", b"1", b"1")]
    target.apply(changes)
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o644
    assert target.compare({"a": b"1"}) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to a group that it is not in")
def test_a_wrong_group_is_mended_where_one_is_wanted(tmp_path):
    anybodys, ours = _tree.Target(str(tmp_path), 0o640), _tree.Target(str(tmp_path), 0o640, os.getgid() + 1)
    anybodys.apply(anybodys.compare({"a": b"1"}))
    assert ours.compare({"a": b"1"}) == [Change("a", b"1", b"1")]
    ours.apply(ours.compare({"a": b"1"}))
    assert (tmp_path / "a").stat().st_gid == os.getgid() + 1
    assert ours.compare({"a": b"1"}) == anybodys.compare({"a": b"1"}) == []


def test_what_an_interrupted_run_left_is_removed(tmp_path):
    (tmp_path / ".new-abc").write_bytes(b"half")
    assert _tree.Target(str(tmp_path), 0o644).compare({}) == [Change(".new-abc", b"half", None)]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644], ids=oct)
def test_permissions_and_group_are_set_whatever_the_umask(mode, tmp_path):
    group = os.getgid() + (os.geteuid() == 0)  # only root may give a file to a group that it is not in
    before = os.umask(0o077)
    try:
        _tree.write(str(tmp_path / "a"), b"1", mode, group)
    finally:
        os.umask(before)
    found = (tmp_path / "a").stat()
    assert found.st_mode & 0o7777 == mode
    assert found.st_gid == group


def test_a_reader_of_the_old_file_keeps_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        _tree.write(str(path), b"new", 0o644)
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_a_write_that_fails_leaves_no_temporary_file(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        _tree.write(str(tmp_path / "a"), b"1", 0o644)
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("present", ["nothing", "file", "link", "dangling"])
def test_a_link_takes_the_place_of_whatever_file_was_there(present, tmp_path):
    path = tmp_path / "a"
    if present == "file":
        path.write_bytes(b"1")
    elif present != "nothing":
        path.symlink_to(tmp_path if present == "link" else "nowhere")
    _tree.link("target", str(path))
    assert os.readlink(path) == "target"
    assert names(tmp_path) == ["a"]


def test_a_link_that_fails_leaves_no_temporary_file(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        _tree.link("target", str(tmp_path / "a"))
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("data", "shown"),
    [(None, ""), (b"", ""), ("é\n".encode(), "é\n"), (b"\xff\x00\xfe", "3 bytes that are not text\n")],
    ids=["none", "empty", "text", "binary"],
)
def test_a_diff_shows_text_and_only_counts_what_is_not_text(data, shown):
    before, after = _tree.text_diff(Change("a", data, b""), "top/a"), _tree.text_diff(Change("a", b"", data), "top/a")
    assert before == {"before_header": "top/a", "after_header": "top/a", "before": shown, "after": ""}
    assert after == {**before, "before": "", "after": shown}
