"""cut_off.py: ends with 0 where this StorageNode reaches nobody on the storage network while the cluster has its peer; or else with 1.

It is the one that must go then: the peer, which others may reach, has all data.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# NAME ADDRESS a line, the peer first.
NEIGHBOURS = Path("/etc/bareroot/storage-neighbours")
COROSYNC_CONF = Path("/etc/corosync/corosync.conf")
# Nobody listens there: a machine that is there says so.
PORT = 9
ANSWER_TIMEOUT = 2
# A peer that is dead is a member for one token, and for as long again and a fifth until all agree on that.
TOKENS = 4


def answers(address: str) -> bool:
    """Whether there is a machine, whatever it says."""
    try:
        socket.create_connection((address, PORT), ANSWER_TIMEOUT).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def is_member(name: str) -> bool:
    """Whether the cluster, as it is seen from here, has it."""
    done = subprocess.run(["/usr/sbin/crm_node", "--partition"], capture_output=True, text=True, check=False, timeout=20)
    return name in done.stdout.split()


def is_cut_off(neighbours: list[tuple[str, str]], seconds: float) -> bool:
    """Ask all neighbours until one answers, or the peer is no member any more, or the time is over."""
    peer = neighbours[0][0]
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(len(neighbours)) as pool:
        while time.monotonic() < end:
            if any(pool.map(answers, [address for _name, address in neighbours])) or not is_member(peer):
                return False
            time.sleep(1)
    return True


def main() -> int:
    """Say it by the exit code."""
    neighbours = [(name, address) for name, address in map(str.split, NEIGHBOURS.read_text(encoding="utf-8").splitlines())]
    token = int(re.search(r"^ *token: *(\d+)$", COROSYNC_CONF.read_text(encoding="utf-8"), re.MULTILINE)[1]) / 1000
    return 0 if is_cut_off(neighbours, TOKENS * token) else 1


if __name__ == "__main__":
    sys.exit(main())
