from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from plugins.module_utils import _state


def test_a_record_is_read(tmp_path):
    (tmp_path / "nodes.json").write_text('{"hn1": {"address": "10.0.0.21"}}')
    assert _state.read_json(str(tmp_path / "nodes.json")) == {"hn1": {"address": "10.0.0.21"}}


def test_where_there_is_no_record_yet_there_is_nothing(tmp_path):
    assert _state.read_json(str(tmp_path / "nodes.json")) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"hn1"', "\xff"], ids=repr)
def test_a_damaged_record_is_an_error_and_never_nothing(tmp_path, text):
    path = tmp_path / "nodes.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"^{path} is damaged: .*; restore it from a backup$"):
        _state.read_json(str(path))
    assert path.read_bytes() == text.encode("latin-1")


def test_a_record_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "nodes.json").mkdir()
    with pytest.raises(IsADirectoryError):
        _state.read_json(str(tmp_path / "nodes.json"))


@pytest.mark.parametrize("check_mode", [True, False])
def test_the_ca_is_the_one_that_is_there(tmp_path, check_mode):
    (tmp_path / "ca").write_text("KEY\n")
    assert _state.ca_key(str(tmp_path), check_mode) == "KEY\n"


def test_without_a_ca_nothing_is_signed(tmp_path):
    with pytest.raises(ValueError, match=rf"^there is no SSH CA {tmp_path}/ca: run playbooks/config_nodes.yml first, or restore it$"):
        _state.ca_key(str(tmp_path), check_mode=False)


def test_check_mode_goes_on_with_a_ca_that_counts_for_nothing(tmp_path):
    load_ssh_private_key(_state.ca_key(str(tmp_path), check_mode=True).encode(), None)
    assert list(tmp_path.iterdir()) == []
