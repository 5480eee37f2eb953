# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers writes by AoE, and anything but control by NVMe/TCP? Listens on the ports of a bridge that StorageNodes are plugged into.

servers.py PORT …    until it is ended; says for each shelf.slot, and each address of a target by NVMe/TCP, through which port it answers,
    and again when another port does: "1.0 sn1-storage", then "1.0 sn2-storage" is one that took over.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

AOE, IPV4 = 0x88A2, 0x0800
TCP = 6
NVME_PORT = 4420
ETH_P_ALL = 3
SO_ATTACH_FILTER = 26
# Classic BPF: takes AoE, and TCP over IPv4 from that port.
FILTER = (
    (0x28, 0, 0, 12),
    (0x15, 6, 0, AOE),
    (0x15, 0, 6, IPV4),
    (0x30, 0, 0, 23),
    (0x15, 0, 4, TCP),
    (0xB1, 0, 0, 14),
    (0x48, 0, 0, 14),
    (0x15, 0, 1, NVME_PORT),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)
# Enough for the headers of Ethernet, AoE and ATA; or of Ethernet, IP, TCP and an answer by NVMe/TCP.
AOE_HEADERS = 36
HEADERS = 14 + 60 + 60 + 24
RESPONSE = 0x08
ATA = 0
WRITE = 0x01
CAPSULE_RESPONSE = 5


def answered(frame: bytes) -> str:
    """Return for what a target answers with this frame: a shelf.slot, or its own address. An empty string for any other frame."""
    kind = int.from_bytes(frame[12:14], "big")
    return _aoe_write(frame) if kind == AOE else _nvme_answer(frame) if kind == IPV4 else ""


def _aoe_write(frame: bytes) -> str:
    if len(frame) < AOE_HEADERS:
        return ""
    flags, command, ata_flags = frame[14], frame[19], frame[24]
    if not flags & RESPONSE or command != ATA or not ata_flags & WRITE:
        return ""
    return f"{int.from_bytes(frame[16:18], 'big')}.{frame[18]}"


def _nvme_answer(frame: bytes) -> str:
    tcp = 14 + (frame[14] & 0x0F) * 4
    answer = frame[tcp + (frame[tcp + 12] >> 4) * 4 :] if len(frame) > tcp + 12 else b""
    # The queue's number is 0 where it is about the connection only.
    if len(answer) < 24 or answer[0] != CAPSULE_RESPONSE or answer[18:20] == b"\0\0":
        return ""
    return ".".join(str(octet) for octet in frame[26:30])


def note(servers: dict[str, str], address: str, port: str) -> None:
    """Say it where another one, or none, answered last."""
    if servers.get(address) != port:
        servers[address] = port
        print(address, port, flush=True)


def listen() -> socket.socket:
    """Return a socket that hears all answers on all interfaces, also later ones: a machine that is switched on has a new port."""
    # A bridge takes the frames of its ports before anybody else but those who want all protocols.
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in FILTER))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(FILTER), ctypes.addressof(program)))
    return listener


def main() -> None:
    """Listen until ended."""
    ports, listener = set(sys.argv[1:]), listen()
    servers: dict[str, str] = {}
    while True:
        frame, (port, _protocol, kind, *_rest) = listener.recvfrom(HEADERS)
        # What the machine behind the port sent, not what goes to it.
        if port in ports and kind != socket.PACKET_OUTGOING and (address := answered(frame)):
            note(servers, address, port)


if __name__ == "__main__":
    main()
