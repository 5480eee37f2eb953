# SPDX-License-Identifier: GPL-3.0-or-later
"""storage-watch: says what becomes wrong with a pair of StorageNodes, and what no longer is. Runs on the ConfigNode.

What it says goes to the journal, and to the command that the inventory names, one sentence at a time.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from module_utils import _cluster_state
from module_utils import _storage_watch as watch

SETTINGS = Path("/etc/bareroot/storage-watch.json")
# What has been said, over restarts.
MEMORY = Path("/var/lib/bareroot-storage-watch/memory.json")
# Connections of its own: others would lose theirs when this program ends.
SSH = ["ssh", "-F", "/var/lib/bareroot/access/ssh_config", "-o", "ControlPath=/run/bareroot-storage-watch/%C"]
# ssh's own exit code.
SILENT = 255
PAUSE = 30
# For what is asked, and for the inventory's command.
TIMEOUT, COMMAND_TIMEOUT = 20, 60
# A line's priority, as systemd reads it.
ERROR, WARNING, NOTICE = "<3>", "<4>", "<5>"


def run(argv: list[str]) -> tuple[int, str]:
    """Return a program's exit code and standard output; ssh's code where it does not end in time."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return SILENT, ""
    return done.returncode, done.stdout


def ask(node: str) -> str | None:
    """Return what a StorageNode answers; None where it does not."""
    code, said = run([*SSH, node, "--", shlex.join(watch.ASK)])
    return None if code == SILENT else said


def ask_all(nodes: list[str]) -> tuple[dict[str, str | None], str]:
    """Return what each StorageNode answers, and what the cluster does, asked side by side."""
    with ThreadPoolExecutor(len(nodes) + 1) as pool:
        cluster = pool.submit(run, _cluster_state.CRM_MON)
        answers = dict(zip(nodes, pool.map(ask, nodes), strict=True))
        _code, crm_mon = cluster.result()
    return answers, crm_mon


def recall() -> watch.Memory:
    """Return what has been said until now; nothing the first time, or where it was damaged."""
    try:
        found = json.loads(MEMORY.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return watch.Memory()
    return watch.Memory(found["problems"], None if found["fenced"] is None else tuple(found["fenced"]))


def keep(memory: watch.Memory) -> None:
    part = MEMORY.with_suffix(".part")
    try:
        part.write_text(json.dumps(asdict(memory), indent=2), encoding="utf-8")
        os.replace(part, MEMORY)
    except OSError as error:
        print(f"{ERROR}what has been said will be said again after a restart: {error}", flush=True)


def say(news: watch.News, command: str) -> None:
    """Write it to the journal, and run the command with it."""
    print(f"{WARNING if news.is_worse else NOTICE}{news.sentence}", flush=True)
    if not command:
        return
    try:
        subprocess.run([command, news.sentence], stdin=subprocess.DEVNULL, timeout=COMMAND_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{ERROR}cluster_alert_command: {error}", flush=True)


def look(settings: dict, memory: watch.Memory, before: dict[str, watch.Problems]) -> tuple[watch.Memory, dict[str, watch.Problems]]:
    """Look at everything, say what is new, and return what has been said and what is wrong now."""
    answers, crm_mon = ask_all(settings["storage_nodes"])
    now = watch.assess(answers, crm_mon, memory.problems)
    after, news = watch.remember(memory, before, now, crm_mon)
    if after != memory:
        keep(after)
    for each in news:
        say(each, settings["command"])
    return after, now


def main() -> None:
    settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
    memory, seen = recall(), {}
    while True:
        memory, seen = look(settings, memory, seen)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
