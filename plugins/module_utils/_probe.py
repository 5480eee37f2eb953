# SPDX-License-Identifier: GPL-3.0-or-later
"""How a live migration is watched from a third machine: by ICMP echo. All times are seconds of the monotonic clock."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import pairwise
from secrets import randbits

# Type, code, checksum, identifier, sequence number; then, as payload, the probe's number that never wraps.
ECHO = struct.Struct("!BBHHHQ")
ECHO_REQUEST, ECHO_REPLY = 8, 0
IPV4 = 4
IPV4_HEADER = 20
PROTOCOL_AT = 9


@dataclass
class Probe:
    """One echo request.

    late: sent more than half an interval after it was due, because this machine was busy. answered: None where it was not.
    """

    sent: float
    late: bool = False
    answered: float | None = None


def report(probes: list[Probe], interval: float) -> dict[str, int | float | bool | None]:
    """Return what modules return about probes that were due every `interval` seconds.

    blackout_ms: the longest time without answers, counted by when probes were sent, so that each lost one stands for an interval.
    recovered: the last probe was answered. rtt_max_ms: None where nothing was answered.
    """
    times = [probe.answered - probe.sent for probe in probes if probe.answered is not None]
    return {
        "blackout_ms": round(max(_blackouts(probes, interval), default=0) * 1000),
        "probes_sent": len(probes),
        "probes_lost": len(probes) - len(times),
        "probes_late": sum(probe.late for probe in probes),
        "recovered": bool(probes) and probes[-1].answered is not None,
        "rtt_max_ms": round(max(times) * 1000, 1) if times else None,
    }


def _blackouts(probes: list[Probe], interval: float) -> Iterator[float]:
    """Yield how long each run of lost probes lasted."""
    if not probes:
        return
    # What was not sent, before the first and after the last, counts as answered.
    first, last = (-1, probes[0].sent - interval), (len(probes), probes[-1].sent + interval)
    answered = [(number, probe.sent) for number, probe in enumerate(probes) if probe.answered is not None]
    for (before, start), (after, end) in pairwise([first, *answered, last]):
        if after - before > 1:
            yield max(end - start - interval, 0)


def schedule(due: float, now: float, interval: float) -> tuple[bool, float]:
    """Return whether a probe that is sent now is late, and when the next is due: what was missed is never made up for."""
    late = now - due > interval / 2
    return late, (now if late else due) + interval


def packet(identifier: int, number: int) -> bytes:
    """Return an echo request. identifier: 16 bits. number: 64 bits; the sequence number is its last 16."""
    fields = (identifier, number & 0xFFFF, number)
    checksum = _checksum(ECHO.pack(ECHO_REQUEST, 0, 0, *fields))
    return ECHO.pack(ECHO_REQUEST, 0, checksum, *fields)


def parse(data: bytes) -> tuple[int, int] | None:
    """Return (identifier, number) of a raw IPv4 packet that answers one of packet(), None for any other packet."""
    if len(data) < IPV4_HEADER:
        return None
    start = (data[0] & 0x0F) * 4
    body = data[start:]
    if data[0] >> 4 != IPV4 or start < IPV4_HEADER or data[PROTOCOL_AT] != socket.IPPROTO_ICMP:
        return None
    if len(body) != ECHO.size or _checksum(body) != 0:
        return None
    kind, code, _sum, identifier, _sequence, number = ECHO.unpack(body)
    return (identifier, number) if (kind, code) == (ECHO_REPLY, 0) else None


def _checksum(data: bytes) -> int:
    """Return the internet checksum (RFC 1071) of an even number of bytes: 0 where they hold their right checksum."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:  # noqa: PLR2004 - 16 bits
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    opened.setblocking(False)
    return opened


class Prober:
    """Sends a probe to an IPv4 address every `interval` seconds, from start() to stop(). Needs root. To be used once."""

    def __init__(self, address: str, interval: float = 0.05) -> None:
        """Raise ValueError where the address is none: a name would be looked up for every probe."""
        self._address = str(IPv4Address(address))
        self._interval = interval
        self._identifier = randbits(16)
        self._probes: list[Probe] = []
        self._stopping = threading.Event()
        self._answer = threading.Condition()
        self._newest_answered = float("-inf")
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin to send. Raises OSError where this machine gives no raw socket."""
        self._socket = _open()
        self._thread.start()

    def wait_answer(self, timeout: float) -> bool:
        """Return True once a probe that was sent after this call is answered, False after `timeout` seconds."""
        since = time.monotonic()
        with self._answer:
            return self._answer.wait_for(lambda: self._newest_answered > since, timeout)

    def stop(self, grace: float = 1.0) -> list[Probe]:
        """Send no more after this interval, and return all probes.

        Waits for answers to what was sent in the last `grace` seconds, no longer than so many seconds after the last probe.
        Raises what ended the watch early: probes that were never sent must not look like answered ones.
        """
        self._stopping.set()
        self._thread.join()
        with self._socket:
            if self._error:
                raise self._error
            last = self._probes[-1].sent
            recent = [probe for probe in self._probes if probe.sent > last - grace]
            self._listen(last + grace, lambda: all(probe.answered is not None for probe in recent))
        return self._probes

    def _watch(self) -> None:
        try:
            due = time.monotonic()
            while not (self._probes and self._stopping.is_set()):
                due = self._send(due)
                self._listen(due)
        except Exception as error:
            self._error = error

    def _send(self, due: float) -> float:
        """Send the next probe. Returns when the one after is due."""
        number, now = len(self._probes), time.monotonic()
        late, following = schedule(due, now, self._interval)
        self._probes.append(Probe(now, late))
        with suppress(OSError):  # such as no route to the host: as lost as a probe without an answer
            self._socket.sendto(packet(self._identifier, number), (self._address, 0))
        return following

    def _listen(self, until: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Note answers until then, at least those that are here already."""
        left = 1.0
        while left > 0 and not enough():
            left = until - time.monotonic()
            if select.select([self._socket], [], [], max(left, 0))[0]:
                self._receive()

    def _receive(self) -> None:
        """Note all answers that are here."""
        while True:
            try:
                data, (source, _port) = self._socket.recvfrom(2048)
            except BlockingIOError:
                return
            reply = parse(data)
            if reply and source == self._address:
                self._note(*reply)

    def _note(self, identifier: int, number: int) -> None:
        """Note the first answer of each probe."""
        if identifier != self._identifier or number >= len(self._probes) or self._probes[number].answered is not None:
            return
        probe = self._probes[number]
        probe.answered = time.monotonic()
        with self._answer:
            self._newest_answered = max(self._newest_answered, probe.sent)
            self._answer.notify_all()
