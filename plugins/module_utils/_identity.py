# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH host keys of nodes, certified by the ConfigNode's CA."""

from __future__ import annotations

import os

try:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import ssh

    HAS_CRYPTOGRAPHY = True
except ImportError:
    HAS_CRYPTOGRAPHY = False

FOR_EVER = 2**64 - 1


def new_host_key() -> str:
    """Return a new ed25519 private key in OpenSSH's format."""
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        .decode()
    )


def public_half(private_key: str) -> str:
    """Return the public half of an OpenSSH private key, as one line."""
    key = ssh.load_ssh_private_key(private_key.encode(), password=None)
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def certify(host_key: str, ca_key: str, principals: list[str]) -> str:
    """Return a host certificate for those names and addresses. It does not expire: removing the node revokes nothing."""
    key = ssh.load_ssh_private_key(host_key.encode(), password=None)
    certificate = (
        ssh.SSHCertificateBuilder()
        .public_key(key.public_key())
        .serial(int.from_bytes(os.urandom(8), "big") >> 1)
        .type(ssh.SSHCertificateType.HOST)
        .key_id(principals[0].encode())
        .valid_principals([principal.encode() for principal in principals])
        .valid_after(0)
        .valid_before(FOR_EVER)
        .sign(ssh.load_ssh_private_key(ca_key.encode(), password=None))
    )
    return certificate.public_bytes().decode()


def principals_of(certificate: str) -> list[str]:
    """Return the names and addresses that a certificate is for."""
    return [principal.decode() for principal in ssh.load_ssh_public_identity(certificate.encode()).valid_principals]
