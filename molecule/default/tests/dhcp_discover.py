"""Usage: dhcp_discover.py INTERFACE MAC. Asks for an address as a machine with that MAC would; prints what is offered, if anything."""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time

WAIT = 4
BROADCAST = b"\xff" * 6


def checksum(header: bytes) -> int:
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def discover(mac: bytes, xid: bytes) -> bytes:
    bootp = struct.pack("!BBBB4sHH16s16s192s", 1, 1, 6, 0, xid, 0, 0x8000, b"", mac, b"") + bytes.fromhex("63825363350101ff")
    udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
    fields = ("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17)
    addresses = (bytes(4), BROADCAST[:4])
    header = struct.pack(*fields, checksum(struct.pack(*fields, 0, *addresses)), *addresses)
    return BROADCAST + mac + b"\x08\x00" + header + udp


def main() -> None:
    interface, mac = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", ""))
    xid = os.urandom(4)
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    raw.bind((interface, 0))
    raw.send(discover(mac, xid))
    deadline = time.monotonic() + WAIT
    while (left := deadline - time.monotonic()) > 0:
        if select.select([raw], [], [], left)[0]:
            # Behind the Ethernet, IP and UDP headers: operation, and further on the transaction and the address.
            reply = raw.recv(2048)[42:]
            if reply[:1] == b"\x02" and reply[4:8] == xid:
                print(socket.inet_ntoa(reply[16:20]))
                return


if __name__ == "__main__":
    main()
