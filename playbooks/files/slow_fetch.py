"""Usage: slow_fetch.py URL STOP. Reads a URL over one connection, slowly until the file STOP exists, then as fast as it comes.

Prints as JSON: sha256 and bytes of all that came, bytes that had come when STOP appeared, and the longest pause in seconds.
"""

import hashlib
import json
import os
import sys
import time
import urllib.request

BLOCK = 32 << 10
# So slowly that 64 MiB take more than eight minutes: two migrations, on any machine.
PAUSE = 0.25


def main() -> None:
    url, stop = sys.argv[1:]
    digest, count, early, longest = hashlib.sha256(), 0, None, 0.0
    with urllib.request.urlopen(url, timeout=120) as answer:  # noqa: S310 - the caller's own server
        while True:
            before = time.monotonic()
            block = answer.read(BLOCK)
            longest = max(longest, time.monotonic() - before)
            if not block:
                break
            digest.update(block)
            count += len(block)
            if early is None and os.path.exists(stop):
                early = count
            if early is None:
                time.sleep(PAUSE)
    print(json.dumps({"sha256": digest.hexdigest(), "bytes": count, "early": early, "longest_pause_s": round(longest, 2)}))


if __name__ == "__main__":
    main()
