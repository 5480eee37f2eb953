from __future__ import annotations

import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_public_identity, load_ssh_public_key

from plugins.module_utils import _identity

SSH_KEYGEN = shutil.which("ssh-keygen") or "ssh-keygen"


def keygen(*arguments):
    return subprocess.run([SSH_KEYGEN, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def host_key():
    return _identity.new_host_key()


@pytest.fixture(scope="module")
def ca_key():
    return _identity.new_host_key()


HOST = ["hn1", "10.0.0.2"]
USER = ["bareroot-config-node"]


@pytest.fixture(scope="module")
def texts(host_key, ca_key):
    return {"host": _identity.certify(host_key, ca_key, HOST), "user": _identity.certify_user(host_key, ca_key, *USER)}


both_kinds = pytest.mark.parametrize(("kind", "principals"), [("host", HOST), ("user", USER)], ids=["host", "user"])


def test_two_keys_differ():
    assert _identity.new_host_key() != _identity.new_host_key()


def test_openssh_reads_the_key_and_has_the_same_public_half(host_key, tmp_path):
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(host_key)
    assert keygen("-y", "-f", path).strip() == _identity.public_half(host_key)
    assert _identity.public_half(host_key).startswith("ssh-ed25519 ")


@both_kinds
def test_the_certificate_is_the_key_signed_by_the_ca(texts, kind, principals, host_key, ca_key):
    certificate = load_ssh_public_identity(texts[kind].encode())
    certificate.verify_cert_signature()
    assert certificate.signature_key() == load_ssh_public_key(_identity.public_half(ca_key).encode())
    assert certificate.public_key() == load_ssh_public_key(_identity.public_half(host_key).encode())
    assert certificate.key_id == principals[0].encode()
    assert certificate.type.name == kind.upper()


@both_kinds
def test_the_certificate_is_one_line_and_names_its_principals(texts, kind, principals):
    assert len(texts[kind].splitlines()) == 1
    assert load_ssh_public_identity(texts[kind].encode()).valid_principals == [name.encode() for name in principals]


@both_kinds
def test_openssh_reads_the_certificate_as_of_its_type_and_for_ever(texts, kind, principals, ca_key, tmp_path):
    (tmp_path / "key-cert.pub").write_text(texts[kind])
    (tmp_path / "ca.pub").write_text(_identity.public_half(ca_key))
    lines = [line.strip() for line in keygen("-L", "-f", tmp_path / "key-cert.pub").splitlines()]
    assert f"Type: ssh-ed25519-cert-v01@openssh.com {kind} certificate" in lines
    assert f'Key ID: "{principals[0]}"' in lines
    assert "Valid: forever" in lines
    assert lines[lines.index("Principals:") + 1 : lines.index("Critical Options: (none)")] == principals
    fingerprint = keygen("-l", "-f", tmp_path / "ca.pub").split(" ")[1]
    assert any(line.startswith(f"Signing CA: ED25519 {fingerprint} ") for line in lines)


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN OPENSSH PRIVATE KEY-----\n"], ids=["empty", "no-key", "cut-off"])
def test_what_is_not_a_key_is_refused_by_name(text, host_key):
    with pytest.raises(ValueError, match=r"^the CA is not an ed25519 OpenSSH private key without a password: "):
        _identity.certify(host_key, text, ["hn1"])
    with pytest.raises(ValueError, match=r"^key of hn1 is not an ed25519 OpenSSH private key without a password: "):
        _identity.certify(text, host_key, ["hn1"])
    with pytest.raises(ValueError, match=r"^the CA is not an ed25519 OpenSSH private key without a password: "):
        _identity.certify_user(host_key, text, "admin")
    with pytest.raises(ValueError, match=r"^key of admin is not an ed25519 OpenSSH private key without a password: "):
        _identity.certify_user(text, host_key, "admin")
    with pytest.raises(ValueError, match=r"^/var/ca is not an ed25519 OpenSSH private key without a password: "):
        _identity.public_half(text, "/var/ca")


def test_a_key_with_a_password_is_refused_by_name(host_key, tmp_path):
    path = tmp_path / "ca"
    keygen("-q", "-t", "ed25519", "-N", "secret", "-f", path)
    with pytest.raises(ValueError, match=r"^the CA is not an ed25519 OpenSSH private key without a password: "):
        _identity.certify(host_key, path.read_text(), ["hn1"])
