from __future__ import annotations

import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_public_identity, load_ssh_public_key

from plugins.module_utils import _identity

SSH_KEYGEN = shutil.which("ssh-keygen") or "ssh-keygen"


@pytest.fixture(scope="module")
def host_key():
    return _identity.new_host_key()


@pytest.fixture(scope="module")
def ca_key():
    return _identity.new_host_key()


def test_two_keys_differ():
    assert _identity.new_host_key() != _identity.new_host_key()


def test_openssh_reads_the_key_and_has_the_same_public_half(host_key, tmp_path):
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(host_key)
    output = subprocess.run([SSH_KEYGEN, "-y", "-f", str(path)], check=True, capture_output=True, text=True).stdout
    assert output.strip() == _identity.public_half(host_key)
    assert _identity.public_half(host_key).startswith("ssh-ed25519 ")


def test_the_certificate_is_the_hosts_key_signed_by_the_ca(host_key, ca_key):
    certificate = load_ssh_public_identity(_identity.certify(host_key, ca_key, ["hn1", "10.0.0.2"]).encode())
    certificate.verify_cert_signature()
    assert certificate.signature_key() == load_ssh_public_key(_identity.public_half(ca_key).encode())
    assert certificate.public_key() == load_ssh_public_key(_identity.public_half(host_key).encode())
    assert certificate.key_id == b"hn1"


def test_the_certificate_is_one_line_and_names_its_principals(host_key, ca_key):
    text = _identity.certify(host_key, ca_key, ["hn1", "10.0.0.2"])
    assert len(text.splitlines()) == 1
    assert load_ssh_public_identity(text.encode()).valid_principals == [b"hn1", b"10.0.0.2"]


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN OPENSSH PRIVATE KEY-----\n"], ids=["empty", "no-key", "cut-off"])
def test_what_is_not_a_key_is_refused_by_name(text, host_key):
    with pytest.raises(ValueError, match=r"^the CA is not an ed25519 OpenSSH private key without a password: "):
        _identity.certify(host_key, text, ["hn1"])
    with pytest.raises(ValueError, match=r"^host key of hn1 is not an ed25519 OpenSSH private key without a password: "):
        _identity.certify(text, host_key, ["hn1"])
    with pytest.raises(ValueError, match=r"^/var/ca is not an ed25519 OpenSSH private key without a password: "):
        _identity.public_half(text, "/var/ca")


def test_a_key_with_a_password_is_refused_by_name(host_key, tmp_path):
    path = tmp_path / "ca"
    subprocess.run([SSH_KEYGEN, "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)], check=True, capture_output=True)
    with pytest.raises(ValueError, match=r"^the CA is not an ed25519 OpenSSH private key without a password: "):
        _identity.certify(host_key, path.read_text(), ["hn1"])
