# SPDX-License-Identifier: GPL-3.0-or-later
"""Three loads in an instance, and what became of them: blocks, files, and fio that reads back what it wrote.

A fourth one writes blocks from a HardwareNode to a volume of the same half, by AoE, since the instance's own may be by NVMe/TCP.
What was acknowledged is noted on the machine that runs this, which no fault touches. Who answers on the storage network is noted too.
python -m tests.e2e.loads: begins them; they go on until Loads.end is called, by another process too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.lab import NAMESPACE, ROOT, Lab, wait_until

INSTANCE = "web1"
# shelf.slot of the volume by AoE.
ADDRESS = "8.0"
# Where each of them runs, and what it does.
WITNESSES = {
    "blocks": (INSTANCE, "write /root/blocks"),
    "files": (INSTANCE, "create /root/files"),
    "aoe": ("hn1", f"write /dev/etherd/e{ADDRESS}"),
}
AOE_EXPORT = "bareroot-aoe@volume-load.service"
STORAGE_NODES = ("sn1", "sn2")
PORTS = tuple(f"{node}-storage" for node in STORAGE_NODES)
FIO = "/root/fio/ld-linux-x86-64.so.2 --library-path /root/fio /root/fio/fio"
# Not all that the guest can: it shares its processors with all others.
FIO_JOB = (
    "--name pair --filename /root/fio/data --size 16m --rw randwrite --bs 4k --direct 1 --ioengine psync --thread --rate_iops 20 "
    "--time_based --runtime 1d --verify crc32c --verify_backlog 64 --verify_fatal 1 --output-format json --output /root/fio/result.json"
)
# Also one that an earlier test left.
END_FIO = "systemctl stop fio 2>/dev/null; systemctl reset-failed fio 2>/dev/null || true;"
PACK = (
    "apt-get install -y -q --no-install-recommends fio >&2 && "
    "ldd /usr/bin/fio | grep -o '/[^ ]*' | tar -c -z -h -P --transform 's|.*/||' -T - /usr/bin/fio"
)
# A guest's first boot in doubly emulated hardware.
BOOT_TIMEOUT = 600
# A guest stands still for minutes, and is alive. One whose lab is gone is not waited for for ever.
LOAD_PATIENCE = 900
TROUBLE = "I/O error|EXT4-fs (error|warning)|Aborting journal|Remounting filesystem read-only"


@dataclass(frozen=True)
class Report:
    """What became of the loads. stall in seconds.

    servers: {shelf.slot, or the address of a target by NVMe/TCP: who answered, one after the other}.
    """

    witnesses: dict[str, dict[str, float]]
    fio: dict[str, int]
    servers: dict[str, list[str]]
    trouble: str

    @property
    def stall(self) -> float:
        return max(witness["stall"] for witness in self.witnesses.values())

    @property
    def acknowledged(self) -> int:
        return round(sum(witness["acknowledged"] for witness in self.witnesses.values()))

    def wrong(self) -> list[str]:
        """Return what must not be, in words."""
        found = [f"{name}: {said}" for name, said in self.witnesses.items() if said["lost"] or said["errors"] or not said["acknowledged"]]
        if self.fio["error"] or not self.fio["verified"]:
            found.append(f"fio: {self.fio}")
        return found + ([f"the instance's kernel said: {self.trouble}"] if self.trouble else [])


class Loads:
    """The loads of the lab's instance."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.directory = lab.directory / "loads"

    def are_begun(self) -> bool:
        return any((self.directory / f"{name}.pid").exists() for name in WITNESSES)

    def begin(self) -> None:
        """Begin them when the instance has booted, after what is left of earlier ones has been ended."""
        wait_for_instance(self.lab)
        self.directory.mkdir(exist_ok=True)
        for name in (*WITNESSES, "servers"):
            self._stop(name)
        self._bring()
        self.lab.run(INSTANCE, "dmesg --clear; rm -f /root/fio/result.json")
        self._start("servers", [*NAMESPACE, sys.executable, str(ROOT / "tests/e2e/servers.py"), *PORTS])
        for name, (machine, what) in WITNESSES.items():
            self._start(name, self.lab.ssh(machine, f"exec python3 /root/witness.py {what}", LOAD_PATIENCE))
        self.lab.run(INSTANCE, f"{END_FIO} systemd-run --quiet --unit fio --property RemainAfterExit=yes {FIO} {FIO_JOB}")
        wait_until("the loads write", lambda: all(self._log(name).stat().st_size > 0 for name in WITNESSES), 120)

    def _bring(self) -> None:
        for machine in {machine for machine, _what in WITNESSES.values()}:
            self.lab.run(machine, "cat >/root/witness.py", data=(ROOT / "tests/e2e/witness.py").read_bytes())
        serving, half = self.home()
        self.lab.module(serving, "volume", name="load", size="16M", half=half, export="aoe", address=ADDRESS)
        self.lab.run("hn1", f"/usr/lib/bareroot/volumes-ready {ADDRESS}")
        if not self.lab.run(INSTANCE, "ls /root/fio/fio 2>/dev/null || true"):
            packed = subprocess.run(self.lab.ssh("cn1", PACK), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            self.lab.run(INSTANCE, "mkdir -p /root/fio && tar -C /root/fio -x -z", data=packed, timeout=300)

    def home(self) -> tuple[str, str]:
        """Return which StorageNode serves the instance's volume, and the half in which it lies."""
        found = []
        for node in STORAGE_NODES:
            with contextlib.suppress(subprocess.SubprocessError):
                said = self.lab.run(node, f"lvs --noheadings --options vg_name --select lv_name={INSTANCE}-root").strip()
                found += [(node, said.removeprefix("bareroot_"))] if said else []
        (home,) = found
        return home

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _start(self, name: str, argv: list[str]) -> None:
        with self._log(name).open("wb") as log, (self.directory / f"{name}.err").open("wb") as errors:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=errors, start_new_session=True)
        (self.directory / f"{name}.pid").write_text(str(process.pid))

    def _stop(self, name: str) -> None:
        pid_file = self.directory / f"{name}.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text())
        # Only what was started here: another process may have that number now.
        if _is(pid, name):
            os.kill(pid, signal.SIGTERM)
            wait_until(f"{name} has ended", lambda: not _is(pid, name), 20)
        pid_file.unlink()

    def seconds_since_last_write(self) -> float:
        """Return how long ago the slower of the witnesses said something."""
        return time.time() - min(self._log(name).stat().st_mtime for name in WITNESSES)

    def marks(self) -> dict[str, int]:
        """Return where in each witness's log all that is to come begins."""
        return {name: self._log(name).stat().st_size for name in WITNESSES}

    def waits(self, marks: dict[str, int]) -> dict[str, float]:
        """Return how many seconds each witness's longest write took, of those that ended after these marks; 0 where none did."""
        found = {}
        for name, mark in marks.items():
            # What it says last may be cut.
            lines = [line.split() for line in self._log(name).read_text()[mark:].splitlines(keepends=True) if line.endswith("\n")]
            found[name] = max((float(line[2]) for line in lines if line[0] != "error"), default=0.0)
        return found

    def servers(self) -> dict[str, list[str]]:
        """Return who has answered until now, as a report says it."""
        found: dict[str, list[str]] = {}
        for line in self._log("servers").read_text().splitlines():
            address, port = line.split()
            found.setdefault(address, []).append(port.removesuffix("-storage"))
        return found

    def end(self) -> Report:
        """End them, and compare what was acknowledged with what is there."""
        for name in (*WITNESSES, "servers"):
            self._stop(name)
        self.lab.run(INSTANCE, "systemctl kill --signal INT fio")
        # It ends with an error where it is ended, too: what counts is its report.
        wait_until("fio has ended", lambda: "running" not in self.lab.run(INSTANCE, "systemctl show --property SubState fio"), BOOT_TIMEOUT)
        job = _fio_result(self.lab.run(INSTANCE, f"cat /root/fio/result.json; {END_FIO}"))
        return Report(
            witnesses={name: self._verdict(name) for name in WITNESSES},
            fio={"error": job["error"], "verified": job["read"]["total_ios"]},
            servers=self.servers(),
            trouble=self.lab.run(INSTANCE, f"dmesg | grep -E '{TROUBLE}' || true").strip(),
        )

    def _verdict(self, name: str) -> dict[str, float]:
        machine, what = WITNESSES[name]
        # It ends with 1 where something was lost, and says so all the same.
        # Nothing of what it reads may come from the machine's own memory.
        command = f"sync; echo 3 >/proc/sys/vm/drop_caches; python3 /root/witness.py verify {what.split()[1]} || true"
        return json.loads(self.lab.run(machine, command, data=self._log(name).read_bytes(), timeout=300))


def wait_for_instance(lab: Lab) -> None:
    """Wait until the instance has booted as far as to let somebody in. Raises TimeoutError."""
    wait_until(f"{INSTANCE} answers", lambda: lab.run(INSTANCE, "true") == "", BOOT_TIMEOUT)


def _fio_result(text: str) -> dict:
    """Return fio's only job. It says in the same file that a signal ended it, before its report."""
    return json.JSONDecoder().raw_decode(text[text.index("{") :])[0]["jobs"][0]


def _is(pid: int, name: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return False
    what = WITNESSES[name][1] if name in WITNESSES else f"{name}.py"
    return state != "Z" and what in command.replace("\0", " ")


if __name__ == "__main__":
    Loads(Lab()).begin()
