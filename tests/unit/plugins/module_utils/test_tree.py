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
    changes = _tree.compare(str(tmp_path), wanted)
    assert changes == expected
    _tree.apply(str(tmp_path), changes, 0o644)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == wanted
    assert _tree.compare(str(tmp_path), wanted) == []


def test_a_directory_that_is_not_there_is_empty_and_gets_made(tmp_path):
    directory = tmp_path / "new" / "deep"
    changes = _tree.compare(str(directory), {"a": b"1"})
    assert not directory.exists()
    _tree.apply(str(directory), changes, 0o644)
    assert (directory / "a").read_bytes() == b"1"


def test_subdirectories_are_left_alone(tmp_path):
    (tmp_path / "sub").mkdir()
    assert _tree.compare(str(tmp_path), {}) == []


def test_a_link_in_place_of_a_file_is_replaced_even_when_its_target_is_equal(tmp_path):
    (tmp_path / "target").write_bytes(b"1")
    served = tmp_path / "served"
    served.mkdir()
    (served / "a").symlink_to(tmp_path / "target")
    _tree.apply(str(served), _tree.compare(str(served), {"a": b"1"}), 0o644)
    assert not (served / "a").is_symlink()
    assert (served / "a").read_bytes() == b"1"
    assert (tmp_path / "target").read_bytes() == b"1"


def test_what_an_interrupted_run_left_is_removed(tmp_path):
    (tmp_path / ".new-abc").write_bytes(b"half")
    assert _tree.compare(str(tmp_path), {}) == [Change(".new-abc", b"half", None)]


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
