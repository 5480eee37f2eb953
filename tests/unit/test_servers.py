"""Who answered writes by AoE: which frames count, and in which order."""

from __future__ import annotations

import pytest

from tests.e2e import servers

# Of a target that has written: response, shelf 1, slot 2, ATA, write.
ACKNOWLEDGED = bytes(12) + bytes.fromhex("88a2 18 00 0001 02 00 00000000 01 00 01 34") + bytes(8)


def changed(position, value):
    return ACKNOWLEDGED[:position] + bytes([value]) + ACKNOWLEDGED[position + 1 :]


def test_the_answer_to_a_write_counts():
    assert len(ACKNOWLEDGED) == servers.HEADERS
    assert servers.answered_write(ACKNOWLEDGED) == "1.2"


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(changed(13, 0xA3), id="another protocol"),
        pytest.param(changed(14, 0x10), id="a request"),
        pytest.param(changed(19, 1), id="the answer to a query"),
        pytest.param(changed(24, 0), id="the answer to a read"),
        pytest.param(ACKNOWLEDGED[:30], id="cut"),
    ],
)
def test_nothing_else_does(frame):
    assert servers.answered_write(frame) == ""


def test_servers_are_noted_in_turn_and_again_when_they_come_back():
    found = {}
    for port in ("sn1", "sn1", "sn2", "sn2", "sn1"):
        servers.note(found, "1.0", port)
    servers.note(found, "1.1", "sn2")
    assert {address: ports[1:] for address, ports in found.items()} == {"1.0": ["sn1", "sn2", "sn1"], "1.1": ["sn2"]}
