from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_ssh_public_identity, load_ssh_public_key

from plugins.module_utils import _identity
from plugins.modules import instance_records

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
MAC = "52:54:00:00:00:01"
ADMIN = "ssh-ed25519 AAAA admin"


def instance(name="web1", **options):
    return {"name": name, "authorized_keys": [ADMIN], **options}


class ConfigNode:
    """The state of a ConfigNode, and the module run on it."""

    def __init__(self, directory, run_module):
        self.directory = directory
        self.path = directory / "instances.json"
        self._run_module = run_module
        directory.mkdir()
        (directory / "ca").write_text(_identity.new_host_key())

    def run(self, *instances, check_mode=False):
        params = {"instances": list(instances), "state_directory": str(self.directory)}
        return self._run_module(instance_records, params, check_mode=check_mode, diff=True)

    def records(self):
        return json.loads(self.path.read_text())["instances"]

    def contents(self):
        return {path: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in self.directory.iterdir()}


@pytest.fixture
def config_node(tmp_path, run_module):
    return ConfigNode(tmp_path / "state", run_module)


def told_of_keys(text, *keys):
    """Return what a text tells of private keys, of these or of any."""
    lines = [line for key in keys for line in key.splitlines() if line]
    return [word for word in ["PRIVATE KEY", "b3BlbnNzaC1rZXk", *lines] if word in text]


def test_check_mode_says_what_would_be_allocated_and_writes_nothing(config_node):
    before = config_node.contents()
    result = config_node.run(instance(mac=MAC), check_mode=True)
    assert result["changed"]
    found = result["instances"]["web1"]
    assert (found["mac"], found["volumes"]) == (MAC, {"root": "1.0", "seed": "1.1"})
    assert result["diff"] == {"before": "", "after": f"web1 {found['uuid']} {MAC} 1.0 1.1\n"}
    assert config_node.contents() == before


def test_check_mode_announces_the_addresses_that_are_given_then(config_node):
    config_node.run(instance("web1"))
    asked = [instance("web2"), instance("web1"), instance("web3")]
    announced = config_node.run(*asked, check_mode=True)["instances"]
    done = config_node.run(*asked)["instances"]
    assert {name: found["volumes"] for name, found in announced.items()} == {name: found["volumes"] for name, found in done.items()}
    assert announced["web1"] == done["web1"]


def test_check_mode_works_before_there_is_a_ca_or_a_directory(config_node):
    (config_node.directory / "ca").unlink()
    config_node.directory.rmdir()
    assert config_node.run(instance(), check_mode=True)["changed"]
    assert not config_node.directory.exists()


def test_what_is_allocated_is_recorded_and_returned(config_node):
    result = config_node.run(instance(address="10.2.0.10/24", gateway="10.2.0.1", nameservers=["10.2.0.2"]))
    record = config_node.records()["web1"]
    found = result["instances"]["web1"]
    assert result["changed"]
    assert found.keys() == {"uuid", "mac", "volumes", "seed"}
    assert {key: found[key] for key in ("uuid", "mac", "volumes")} == {key: record[key] for key in ("uuid", "mac", "volumes")}
    assert result["diff"] == {"before": "", "after": f"web1 {record['uuid']} {record['mac']} 1.0 1.1\n"}
    seed = {name: yaml.safe_load(text) for name, text in found["seed"].items()}
    assert seed["meta-data"] == {"instance-id": record["uuid"], "local-hostname": "web1"}
    assert seed["network-config"]["ethernets"]["instance"] == {
        "match": {"macaddress": record["mac"]},
        "dhcp4": False,
        "addresses": ["10.2.0.10/24"],
        "routes": [{"to": "0.0.0.0/0", "via": "10.2.0.1"}],
        "nameservers": {"addresses": ["10.2.0.2"]},
    }
    assert seed["user-data"]["users"] == [{"name": "root", "ssh_authorized_keys": [ADMIN]}]
    assert seed["user-data"]["ssh_keys"] == {
        "ed25519_private": record["host_key"],
        "ed25519_public": _identity.public_half(record["host_key"]),
        "ed25519_certificate": record["certificate"],
    }
    assert told_of_keys(json.dumps(config_node.records())) != []


def test_an_instance_with_nothing_but_a_name_gets_a_mac_and_dhcp(config_node):
    found = config_node.run({"name": "web1"})["instances"]["web1"]
    assert yaml.safe_load(found["seed"]["network-config"])["ethernets"]["instance"] == {
        "match": {"macaddress": found["mac"]},
        "dhcp4": True,
    }


def test_only_the_owner_reads_what_is_recorded(config_node):
    config_node.run(instance("web1"))
    assert stat.S_IMODE(config_node.path.stat().st_mode) == 0o600
    config_node.path.chmod(0o644)
    config_node.run(instance("web2"))
    assert stat.S_IMODE(config_node.path.stat().st_mode) == 0o600
    assert {path.name for path in config_node.directory.iterdir()} == {"ca", "instances.json"}


@BOTH_MODES
def test_a_second_run_changes_nothing_and_writes_nothing(config_node, check_mode):
    asked = [instance("web1", address="10.2.0.10/24"), instance("web2", mac=MAC), instance("web3")]
    first = config_node.run(*asked)
    before = config_node.contents()
    second = config_node.run(*asked, check_mode=check_mode)
    assert not second["changed"]
    assert second["instances"] == first["instances"]
    assert second["diff"]["before"] == second["diff"]["after"] == first["diff"]["after"]
    assert config_node.contents() == before


@pytest.mark.parametrize(
    "asked", [{"authorized_keys": []}, {"gateway": "10.2.0.1"}, {"nameservers": ["10.2.0.1"]}], ids=lambda asked: next(iter(asked))
)
def test_what_is_not_recorded_changes_the_seed_alone(config_node, asked):
    first = config_node.run(instance())
    before = config_node.contents()
    second = config_node.run(instance(**asked))
    assert not second["changed"]
    assert second["instances"]["web1"]["seed"] != first["instances"]["web1"]["seed"]
    assert config_node.contents() == before


def test_another_instance_leaves_the_first_as_it_is(config_node):
    config_node.run(instance("web1"))
    first = config_node.records()["web1"]
    result = config_node.run(instance("web2"))
    assert result["changed"]
    assert result["instances"].keys() == {"web2"}
    assert result["instances"]["web2"]["volumes"] == {"root": "1.2", "seed": "1.3"}
    assert config_node.records()["web1"] == first


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        pytest.param({"gateway": "10.2.0.1", "mac": MAC}, True, id="gateway-and-mac"),
        pytest.param({"address": "10.2.0.11/24"}, False, id="address"),
    ],
)
def test_the_certificate_is_kept_byte_for_byte_unless_the_address_changes(config_node, asked, same):
    config_node.run(instance(address="10.2.0.10/24"))
    first = config_node.records()["web1"]
    config_node.run(instance(**{"address": "10.2.0.10/24", **asked}))
    second = config_node.records()["web1"]
    assert (second["certificate"] == first["certificate"]) is same
    assert second["host_key"] == first["host_key"]


def test_another_ca_certifies_the_same_key_anew(config_node):
    config_node.run(instance())
    first = config_node.records()["web1"]
    ca = _identity.new_host_key()
    (config_node.directory / "ca").write_text(ca)
    assert config_node.run(instance())["changed"]
    second = config_node.records()["web1"]
    assert load_ssh_public_identity(second["certificate"].encode()).signature_key() == load_ssh_public_key(
        _identity.public_half(ca).encode()
    )
    assert {**second, "certificate": "", "certified": ""} == {**first, "certificate": "", "certified": ""}


@BOTH_MODES
def test_an_instance_that_is_gone_keeps_its_record(config_node, check_mode):
    config_node.run(instance("web1"), instance("web2"))
    before = config_node.contents()
    result = config_node.run(instance("web2"), check_mode=check_mode)
    assert not result["changed"]
    assert result["instances"].keys() == {"web2"}
    assert config_node.contents() == before
    assert config_node.run(check_mode=check_mode)["changed"] is False
    assert config_node.contents() == before


def test_an_instance_that_comes_back_is_what_it_was(config_node):
    first = config_node.run(instance("web1"))["instances"]["web1"]
    config_node.run(instance("web2"))
    assert config_node.run(instance("web1"))["instances"]["web1"] == first


@BOTH_MODES
def test_without_instances_nothing_changes_and_nothing_is_written(config_node, check_mode):
    result = config_node.run(check_mode=check_mode)
    assert (result["changed"], result["instances"], result["diff"]) == (False, {}, {"before": "", "after": ""})
    assert not config_node.path.exists()


@BOTH_MODES
def test_no_difference_and_nothing_but_the_seed_tells_of_a_key(config_node, check_mode):
    config_node.run(instance("web1", address="10.2.0.10/24"))
    asked = [instance("web1", address="10.2.0.11/24"), instance("web2")]
    result = config_node.run(*asked, check_mode=check_mode)
    keys = [record["host_key"] for record in config_node.records().values()]
    keys += [yaml.safe_load(found["seed"]["user-data"])["ssh_keys"]["ed25519_private"] for found in result["instances"].values()]
    keys.append((config_node.directory / "ca").read_text())
    assert told_of_keys(json.dumps(result), *keys) != []
    assert told_of_keys(json.dumps(result["diff"]), *keys) == []
    for found in result["instances"].values():
        del found["seed"]["user-data"]
    assert told_of_keys(json.dumps(result), *keys) == []


@BOTH_MODES
@pytest.mark.parametrize("taken", ["recorded", "same-run", "gone"])
def test_a_mac_that_another_one_has_is_an_error_and_nothing_is_written(config_node, taken, check_mode):
    if taken != "same-run":
        config_node.run(instance("web1", mac=MAC))
    before = config_node.contents()
    asked = [instance("web2", mac=MAC)] if taken == "gone" else [instance("web0"), instance("web1", mac=MAC), instance("web2", mac=MAC)]
    result = config_node.run(*asked, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == f"cannot allocate what instances need: instance_mac {MAC} of web2 belongs to web1; give web2 another"
    assert config_node.contents() == before


@BOTH_MODES
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _data: b"", id="empty"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut-off"),
        pytest.param(lambda data: b"\xff" * len(data), id="binary"),
        pytest.param(lambda data: bytes(len(data)), id="zeros"),
        pytest.param(lambda _data: b"[]", id="list"),
        pytest.param(lambda _data: b"null", id="null"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it_and_nothing_is_written(config_node, damage, check_mode):
    config_node.run(instance())
    config_node.path.write_bytes(damage(config_node.path.read_bytes()))
    before = config_node.contents()
    result = config_node.run(instance(), instance("web2"), check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"cannot allocate what instances need: {config_node.path} is damaged: ")
    assert result["msg"].endswith("; restore it from a backup")
    assert told_of_keys(result["msg"]) == []
    assert config_node.contents() == before


@BOTH_MODES
def test_a_damaged_host_key_is_an_error_that_names_its_instance_and_does_not_show_it(config_node, check_mode):
    config_node.run(instance())
    records = json.loads(config_node.path.read_text())
    whole = records["instances"]["web1"]["host_key"]
    records["instances"]["web1"]["host_key"] = whole[:100]
    config_node.path.write_text(json.dumps(records))
    before = config_node.contents()
    result = config_node.run(instance(), check_mode=check_mode)
    assert result["failed"]
    assert "key of web1 is not an ed25519 OpenSSH private key without a password: " in result["msg"]
    assert told_of_keys(json.dumps(result), whole[:100].splitlines()[-1]) == []
    assert config_node.contents() == before


def test_without_the_ca_it_fails_naming_the_file_and_writes_nothing(config_node):
    (config_node.directory / "ca").unlink()
    result = config_node.run(instance())
    assert result["failed"]
    assert f"there is no SSH CA {config_node.directory}/ca: run playbooks/config_nodes.yml first" in result["msg"]
    assert list(config_node.directory.iterdir()) == []


@BOTH_MODES
@pytest.mark.parametrize("text", ["", "no key", "cut off"])
def test_a_damaged_ca_is_an_error_that_does_not_show_it(config_node, text, check_mode):
    path = config_node.directory / "ca"
    text = path.read_text()[:150] if text == "cut off" else text
    path.write_text(text)
    before = config_node.contents()
    result = config_node.run(instance(), check_mode=check_mode)
    assert result["failed"]
    assert "the CA is not an ed25519 OpenSSH private key without a password: " in result["msg"]
    assert told_of_keys(json.dumps(result), *text.splitlines()[1:]) == []
    assert config_node.contents() == before


def test_a_failed_write_leaves_what_was_recorded(config_node, monkeypatch):
    config_node.run(instance())
    before = config_node.contents()

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    result = config_node.run(instance("web2"))
    assert result["failed"]
    assert "No space left on device" in result["msg"]
    assert config_node.contents() == before


def test_without_its_library_check_mode_expects_a_change_and_a_real_run_names_it(config_node, monkeypatch):
    monkeypatch.setattr(_identity, "HAS_CRYPTOGRAPHY", False)
    result = config_node.run(instance(), check_mode=True)
    # Whoever reads them finds every instance, with nothing allocated.
    assert result["changed"]
    assert result["instances"]["web1"]["volumes"] == {"root": "", "seed": ""}
    result = config_node.run(instance())
    assert result["failed"]
    assert "cryptography" in result["msg"]
    assert [path.name for path in Path(config_node.directory).iterdir()] == ["ca"]


@pytest.mark.parametrize("wrong", [{}, {"name": "web1", "address": ["10.2.0.1/24"], "mask": 24}], ids=["no-name", "unknown-option"])
def test_an_instance_that_is_not_described_is_refused(config_node, wrong):
    result = config_node.run(wrong)
    assert result["failed"]
    assert not config_node.path.exists()
