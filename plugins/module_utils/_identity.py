# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH keys of nodes, certified by the ConfigNode's CA: as hosts, and as users for the little that one node may do on another."""

from __future__ import annotations

import os
from functools import lru_cache

try:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import ssh

    HAS_CRYPTOGRAPHY = True
except ImportError:
    HAS_CRYPTOGRAPHY = False

FOR_EVER = 2**64 - 1


@lru_cache(maxsize=8)
def _load(private_key: str, what: str) -> Ed25519PrivateKey:
    try:
        key = ssh.load_ssh_private_key(private_key.encode(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("it is of another type")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} is not an ed25519 OpenSSH private key without a password: {error}") from error
    return key


def new_host_key() -> str:
    """Return a new ed25519 private key in OpenSSH's format."""
    key = Ed25519PrivateKey.generate()
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def public_half(private_key: str, what: str = "host key") -> str:
    """Return the public half of an OpenSSH private key, as one line. Raises ValueError, naming `what`."""
    key = _load(private_key, what).public_key()
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def certify(host_key: str, ca_key: str, principals: list[str]) -> str:
    """Return a host certificate for those names and addresses. It does not expire: removing the node revokes nothing."""
    return _certificate(host_key, ca_key, principals, "HOST")


def certify_user(key: str, ca_key: str, principal: str, extensions: tuple[str, ...] = ()) -> str:
    """Return a user certificate. What its holder may do is said where it logs in, in the list of principals.

    extensions: what sshd allows besides running a command, such as permit-pty.
    """
    return _certificate(key, ca_key, [principal], "USER", extensions)


def _certificate(key: str, ca_key: str, principals: list[str], kind: str, extensions: tuple[str, ...] = ()) -> str:
    builder = (
        ssh.SSHCertificateBuilder()
        .public_key(_load(key, f"key of {principals[0]}").public_key())
        .serial(int.from_bytes(os.urandom(8), "big") >> 1)
        .type(ssh.SSHCertificateType[kind])
        .key_id(principals[0].encode())
        .valid_principals([principal.encode() for principal in principals])
        .valid_after(0)
        .valid_before(FOR_EVER)
    )
    for extension in extensions:
        builder = builder.add_extension(extension.encode(), b"")
    certificate = builder.sign(_load(ca_key, "the CA"))
    return certificate.public_bytes().decode()
