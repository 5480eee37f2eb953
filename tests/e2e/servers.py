# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers writes by AoE? Listens on the ports of a bridge that StorageNodes are plugged into.

servers.py PORT …    until it is ended; then prints, for each shelf.slot, the ports in the order in which they answered writes:
    {"1.0": ["sn1-storage", "sn2-storage"]} is one that took over; a port that is named again answered after another one had.
"""

from __future__ import annotations

import ctypes
import json
import signal
import socket
import struct
import sys

ETHERTYPE = 0x88A2
ETH_P_ALL = 3
SO_ATTACH_FILTER = 26
# Classic BPF: load the half-word at 12; if it is AoE's ethertype take the frame, else none of it.
FILTER = ((0x28, 0, 0, 12), (0x15, 0, 1, ETHERTYPE), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
# Enough for Ethernet's, AoE's and ATA's headers.
HEADERS = 36
RESPONSE = 0x08
ATA = 0
WRITE = 0x01


def answered_write(frame: bytes) -> str:
    """Return the shelf.slot of a write that a target acknowledges with this frame; an empty string for any other frame."""
    if len(frame) < HEADERS or int.from_bytes(frame[12:14], "big") != ETHERTYPE:
        return ""
    flags, command, ata_flags = frame[14], frame[19], frame[24]
    if not flags & RESPONSE or command != ATA or not ata_flags & WRITE:
        return ""
    return f"{int.from_bytes(frame[16:18], 'big')}.{frame[18]}"


def note(servers: dict[str, list[str]], address: str, port: str) -> None:
    """Add the port where another one, or none, answered last."""
    if servers.setdefault(address, [""])[-1] != port:
        servers[address].append(port)


def listen() -> socket.socket:
    """Return a socket that hears all AoE on all interfaces, also on those that come later: a machine that is switched on has a new port."""
    # A bridge takes the frames of its ports before anybody else but those who want all protocols.
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in FILTER))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(FILTER), ctypes.addressof(program)))
    return listener


def main() -> None:
    """Listen until ended."""
    ports, listener = set(sys.argv[1:]), listen()
    servers: dict[str, list[str]] = {}

    def finish(*_args: object) -> None:
        print(json.dumps({address: seen[1:] for address, seen in servers.items()}), flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, finish)
    while True:
        frame, (port, _protocol, kind, *_rest) = listener.recvfrom(HEADERS)
        # What the machine behind the port sent, not what goes to it.
        if port in ports and kind != socket.PACKET_OUTGOING and (address := answered_write(frame)):
            note(servers, address, port)


if __name__ == "__main__":
    main()
