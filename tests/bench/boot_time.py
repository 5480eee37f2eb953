"""Starts a machine of the lab that is off and prints, as JSON, after how many seconds its console showed how far it was.

Usage: boot_time.py CONSOLE_LOG COMMAND [ARGUMENT ...]   COMMAND switches the machine on, or runs it
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

# Every machine shows all of them.
MARKS = {
    "xen": re.compile(rb"Xen version \d"),
    "kernel": re.compile(rb"Linux version \d"),
    "root": re.compile(rb"bareroot: root mounted"),
    "ready": re.compile(rb"bareroot: ready"),
}
TIMEOUT = 600
PAUSE = 0.1


def watch(console: Path, since: int, starter: subprocess.Popen[bytes], began: float) -> dict[str, float]:
    """Return when each mark appeared after `since` bytes of the console, until the machine is ready. Raises RuntimeError."""
    seen: dict[str, float] = {}
    while "ready" not in seen:
        now = time.monotonic() - began
        if now > TIMEOUT or starter.poll():
            raise RuntimeError(f"not ready after {now:.0f} s; {seen}; the command ended with {starter.poll()}; see {console}")
        text = console.read_bytes()[since:] if console.exists() else b""
        seen.update({mark: round(now, 1) for mark, pattern in MARKS.items() if mark not in seen and pattern.search(text)})
        time.sleep(PAUSE)
    return seen


def main() -> None:
    console, command = Path(sys.argv[1]), sys.argv[2:]
    since = console.stat().st_size if console.exists() else 0
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            print(json.dumps(watch(console, since, process, began)))
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
