"""Who answered: which frames count, and in which order."""

from __future__ import annotations

import pytest

from tests.e2e import servers

# Of a target that has written: response, shelf 1, slot 2, ATA, write.
ACKNOWLEDGED = bytes(12) + bytes.fromhex("88a2 18 00 0001 02 00 00000000 01 00 01 34") + bytes(8)


def changed(position, value):
    return ACKNOWLEDGED[:position] + bytes([value]) + ACKNOWLEDGED[position + 1 :]


def test_the_answer_to_a_write_counts():
    assert len(ACKNOWLEDGED) == servers.AOE_HEADERS
    assert servers.answered(ACKNOWLEDGED) == "1.2"


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
    assert servers.answered(frame) == ""


def nvme(*, port=4420, options=b"", pdu=5, queue=1, length=24):
    """Return a frame of a target by NVMe/TCP. options: of TCP, four bytes each."""
    ip = bytes.fromhex("4500 0000 0000 0000 40 06 0000 0a4e0016 0a4e0014")
    tcp = port.to_bytes(2, "big") + bytes(10) + bytes([(5 + len(options) // 4) << 4]) + bytes(7) + options
    capsule = bytes([pdu, 0, 24, 0, 24, 0, 0, 0]) + bytes(10) + queue.to_bytes(2, "little") + bytes(4)
    return bytes(12) + bytes.fromhex("0800") + ip + tcp + capsule[:length]


@pytest.mark.parametrize("options", [b"", bytes(12)], ids=["plain", "timestamps"])
def test_an_answer_by_nvme_tcp_counts_for_the_targets_address(options):
    assert servers.answered(nvme(options=options)) == "10.78.0.22"


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(nvme(pdu=7), id="data that was read"),
        pytest.param(nvme(queue=0), id="about the connection"),
        pytest.param(nvme(length=0), id="a bare acknowledgement"),
        pytest.param(nvme(length=20), id="cut"),
        pytest.param(nvme()[:20], id="cut in a header"),
    ],
)
def test_nothing_else_by_nvme_tcp_does(frame):
    assert servers.answered(frame) == ""


def taken(frame):
    """Run the filter as the kernel does: whether it takes a frame."""
    position, accumulator, index = 0, 0, 0
    while True:
        code, if_true, if_false, value = servers.FILTER[position]
        position += 1
        match code:
            case 0x28:
                accumulator = int.from_bytes(frame[value : value + 2], "big")
            case 0x30:
                accumulator = frame[value]
            case 0xB1:
                index = (frame[value] & 0x0F) * 4
            case 0x48:
                accumulator = int.from_bytes(frame[index + value : index + value + 2], "big")
            case 0x15:
                position += if_true if accumulator == value else if_false
            case 0x06:
                return bool(value)


@pytest.mark.parametrize(
    ("frame", "is_taken"),
    [(ACKNOWLEDGED, True), (nvme(), True), (nvme(options=bytes(12)), True), (nvme(port=22), False), (changed(13, 0xA3), False)],
    ids=["aoe", "nvme", "nvme-options", "ssh", "else"],
)
def test_only_what_may_count_is_taken(frame, is_taken):
    assert taken(frame) is is_taken


def test_servers_are_noted_in_turn_and_again_when_they_come_back(capsys):
    found = {}
    for port in ("sn1", "sn1", "sn2", "sn2", "sn1"):
        servers.note(found, "1.0", port)
    servers.note(found, "1.1", "sn2")
    assert capsys.readouterr().out.splitlines() == ["1.0 sn1", "1.0 sn2", "1.0 sn1", "1.1 sn2"]
