"""How long a guest's writes wait when its StorageNode leaves: moved by hand, shut down, without power. Needs the lab's pair (make pair).

By hand is what the cluster has to do in any case, without the cluster: take the exports away and demote, promote there and export.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from plugins.module_utils._timers import detection
from tests.bench.figures import keep, verdict
from tests.e2e.health import RECOVERY, is_whole
from tests.e2e.lab import Lab, wait_until
from tests.e2e.loads import ADDRESS, STORAGE_NODES, Loads

# A clean shutdown beside the same by hand; a power cut beside Corosync's timers, fencing and promotion.
CLEAN_LIMIT, CRASH_LIMIT = 1.5, 1.2
STAND_STILL = 600
# The exports of the witnesses that write blocks.
EXPORTS = {"blocks": "nvme", "aoe": "aoe"}
# In the order in which they happen. {peer} is lost, {half} taken over.
EVENTS = {
    "detection": r"TOTEM \] A new membership .* Members left",
    "fencing": r"Peer {peer} was terminated \(reboot\).*: OK",
    "promotion": r"Result of promote operation for bareroot-drbd-{half} on .*: OK",
    "exports": r"Result of start operation for bareroot-{half} on .*: OK",
}


def steps(journal: str, peer: str, half: str, begin: float) -> dict[str, float]:
    """Return how many seconds each step of a takeover took, by what the survivor's journal says since `begin`.

    Raises ValueError where one of them is not in it.
    """
    found: dict[str, float] = {}
    at = begin
    lines = iter(journal.splitlines())
    for name, pattern in EVENTS.items():
        wanted = re.compile(pattern.format(peer=re.escape(peer), half=half))
        # The same iterator: no event comes before the one that it follows.
        line = next((line for line in lines if wanted.search(line)), None)
        if line is None:
            raise ValueError(f"no {name} in the journal: nothing like {wanted.pattern}")
        found[name], at = float(line.split()[0]) - at, float(line.split()[0])
    return found


def by_hand(lab: Lab, serving: str, other: str, half: str) -> float:
    """Move a half there, and return how many seconds its two StorageNodes worked for that."""
    leave = f"systemctl stop bareroot-half@{half} && drbdadm secondary {half}"
    arrive = f"drbdadm primary {half} && systemctl start bareroot-half@{half}"
    return sum(_seconds(lab, machine, command) for machine, command in ((serving, leave), (other, arrive)))


def _seconds(lab: Lab, machine: str, command: str) -> float:
    said = lab.run(machine, f"date +%s.%N; {command} >&2 && date +%s.%N", timeout=STAND_STILL)
    begin, end = map(float, said.split())
    return end - begin


def waits(loads: Loads, marks: dict[str, int]) -> dict[str, float]:
    """Return the longest write since these marks, by export."""
    found = loads.waits(marks)
    return {export: found[witness] for witness, export in EXPORTS.items()}


def measure(lab: Lab, loads: Loads) -> Iterator[dict[str, Any]]:
    """Yield the figures of each way to leave."""
    serving, half = loads.home()
    other = next(node for node in STORAGE_NODES if node != serving)
    # The cluster looks away, and finds all as it was afterwards.
    lab.run("cn1", "crm_attribute --name maintenance-mode --update true")
    try:
        there, back = by_hand(lab, serving, other, half), by_hand(lab, other, serving, half)
    finally:
        lab.run("cn1", "crm_attribute --name maintenance-mode --update false")
    _settle(lab, loads)
    yield {"how": "by hand", "seconds": [there, back]}

    marks = loads.marks()
    lab.run(serving, "systemd-run --quiet --on-active=1 systemctl poweroff")
    wait_until(f"{serving} is off", lambda: lab.is_off(serving), STAND_STILL)
    _go_on(loads)
    yield {"how": "shut down", "waits": waits(loads, marks)}
    lab.power(serving, "on")
    _settle(lab, loads)

    serving, other = other, serving
    marks = loads.marks()
    begin = float(lab.run(other, "date +%s.%N"))
    lab.power(serving, "off")
    wait_until(f"{other} answers", lambda: loads.servers()[ADDRESS][-1] == other, STAND_STILL)
    _go_on(loads)
    journal = lab.run(other, f"journalctl --no-pager --output short-unix --since @{begin:.0f}")
    yield {"how": "power cut", "waits": waits(loads, marks), "steps": steps(journal, serving, half, begin)}
    _settle(lab, loads)


def _go_on(loads: Loads) -> None:
    wait_until("the loads go on", lambda: loads.seconds_since_last_write() < 5, STAND_STILL)
    time.sleep(10)


def _settle(lab: Lab, loads: Loads) -> None:
    wait_until("both StorageNodes have all data", lambda: is_whole(lab), RECOVERY)
    # One that comes back has all data before it is one of the cluster again.
    wait_until("both are members", lambda: set(STORAGE_NODES) <= set(lab.run("cn1", "crm_node --partition").split()), RECOVERY)
    _go_on(loads)


def report(figures: list[dict[str, Any]], token: int) -> Iterator[str]:
    """Yield what is said of the figures. token: Corosync's, in ms."""
    found = {figure["how"]: figure for figure in figures}
    hand = max(found["by hand"]["seconds"])
    yield f"by hand: {', '.join(f'{seconds:.1f}' for seconds in found['by hand']['seconds'])} s"
    for export, waited in found["shut down"]["waits"].items():
        yield f"shut down, {export}: {waited:.1f} s; / by hand = {waited / hand:.2f}{verdict(waited / hand, CLEAN_LIMIT)}"
    seen = found["power cut"]["steps"]
    parts = detection(token) + sum(seconds for name, seconds in seen.items() if name != "detection")
    yield f"a power cut's parts: {', '.join(f'{name} {seconds:.1f}' for name, seconds in seen.items())} s; timers {detection(token):.1f} s"
    for export, waited in found["power cut"]["waits"].items():
        ratio = waited / parts
        yield f"power cut, {export}: {waited:.1f} s; / timers, fencing, promotion, exports = {ratio:.2f}{verdict(ratio, CRASH_LIMIT)}"


def main() -> None:
    """Measure, keep the figures, and compare."""
    lab = Lab()
    loads = Loads(lab)
    loads.begin()
    wait_until("both StorageNodes have all data", lambda: is_whole(lab), RECOVERY)
    figures = []
    for figure in measure(lab, loads):
        print(time.strftime("%H:%M:%S"), figure, flush=True)
        figures.append(figure)
    said = loads.end()
    token = int(re.search(r"token: (\d+)", lab.run("sn1", "cat /etc/corosync/corosync.conf"))[1])
    keep("storage_stall", figures)
    print("\n".join([*report(figures, token), *said.wrong()]))


if __name__ == "__main__":
    main()
