"""What may happen to a pair of StorageNodes, and what is expected then. `serving` serves the instance's volume, `other` is the other."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.lab import ROOT, Lab, wait_until
from tests.e2e.loads import AOE_EXPORT, INSTANCE

Step = Callable[[Lab, str, str], None]
REPLICATION_PORTS = "7788-7789"
HARDWARE_NODE = "ssh -F /var/lib/bareroot/access/ssh_config"
# An export that has run for fewer seconds began after the fault.
RESTARTED = 60
# On a slow day an instance under all loads takes four minutes until it is copied, and three more until it has moved.
MIGRATION = 600
VBLADE = f"$(systemctl show --property MainPID --value {AOE_EXPORT})"


def nothing(_lab: Lab, _serving: str, _other: str) -> None:
    """There is nothing to be done."""


def shown_by_servers(_lab: Lab, _serving: str, _other: str) -> bool:
    """Whether it happened shows in who answers writes, or is fenced."""
    return True


@dataclass(frozen=True)
class Fault:
    """do: what happens. lasts: seconds until `mend`, which puts right what does not come back by itself, such as a pulled cable.

    holds: it is done again and again until then: a machine that was switched off and on is without that cable, too.
    shows: whether it had its effect, asked before `mend`. servers: who answers writes in turn, one of these lists.
    fenced: who is fenced, and nobody else but those who may_be_fenced. stall: seconds for which a guest may stand still; by default
    as long as a machine takes to be fenced and to boot in emulation.
    """

    do: Step
    servers: tuple[tuple[str, ...], ...]
    fenced: tuple[str, ...] = ()
    may_be_fenced: tuple[str, ...] = ()
    lasts: float = 0
    holds: bool = False
    mend: Step = nothing
    shows: Callable[[Lab, str, str], bool] = shown_by_servers
    stall: float = 400


STAYS = (("serving",),)
MOVES = (("serving", "other"),)


def _shut_down(lab: Lab, serving: str, _other: str) -> None:
    # A little later, so that this connection ends before.
    lab.run(serving, "systemd-run --quiet --on-active=1 systemctl poweroff")


def _switch_on(lab: Lab, serving: str, _other: str) -> None:
    wait_until(f"{serving} is off", lambda: lab.is_off(serving), 300)
    lab.power(serving, "on")


def _cut_power(lab: Lab, serving: str, _other: str) -> None:
    lab.power(serving, "off")


def _panic(lab: Lab, serving: str, _other: str) -> None:
    lab.run(serving, "systemd-run --quiet sh -c 'sleep 1; echo c >/proc/sysrq-trigger'")


def _freeze(lab: Lab, serving: str, _other: str) -> None:
    lab.freeze(serving)


def _kill_export(lab: Lab, serving: str, _other: str) -> None:
    lab.run(serving, f"kill -KILL {VBLADE}")


def _stop_export(lab: Lab, serving: str, _other: str) -> None:
    lab.run(serving, f"kill -STOP {VBLADE}")


def _is_exported_anew(lab: Lab, serving: str, _other: str) -> bool:
    return int(lab.run(serving, f"ps -o etimes= -p {VBLADE}")) < RESTARTED


def _thaw_exports(lab: Lab, serving: str, _other: str) -> None:
    """Whatever is still stopped goes on, with what it had not answered yet."""
    lab.run(serving, "for pid in $(grep -l '^vblade$' /proc/[0-9]*/comm | cut -d / -f 3); do kill -CONT $pid; done")


def _lose_replication(lab: Lab, serving: str, _other: str) -> None:
    lab.run(serving, f"for port in sport dport; do ip rule add priority 1 ipproto tcp $port {REPLICATION_PORTS} blackhole; done")


def _is_not_replicated(lab: Lab, serving: str, _other: str) -> bool:
    return "Connected" not in lab.run(serving, "drbdadm cstate all").split()


def _have_replication(lab: Lab, serving: str, _other: str) -> None:
    lab.run(serving, "while ip rule delete priority 1 2>/dev/null; do :; done")


def _pull_storage_cable(lab: Lab, serving: str, _other: str) -> None:
    lab.plug(serving, "storage", False)


def _plug_storage_cable(lab: Lab, serving: str, _other: str) -> None:
    lab.plug(serving, "storage", True)


def _deafen(lab: Lab, serving: str, _other: str) -> None:
    lab.deafen(serving, "storage", True)


def _undeafen(lab: Lab, serving: str, _other: str) -> None:
    lab.deafen(serving, "storage", False)


def _pull_disk(lab: Lab, serving: str, _other: str) -> None:
    """The kernel sees it go, as it would see a disk that is pulled."""
    disk = f"/sys/class/block/$(basename $(readlink -f /dev/disk/by-id/virtio-{serving}-0))"
    lab.run(serving, f"set -e; controller=$(readlink -f {disk}/device/..); test -e $controller/remove; echo 1 >$controller/remove")


def _is_without_a_disk(lab: Lab, serving: str, _other: str) -> bool:
    return bool(re.search(r"\[U*_U*\]", lab.run(serving, "cat /proc/mdstat")))


def _bring_blank_disk(lab: Lab, serving: str, _other: str) -> None:
    lab.blank_disk(serving, 0)
    lab.run(serving, "echo 1 >/sys/bus/pci/rescan")
    lab.playbook("nodes.yml")


def _cut_both(lab: Lab, serving: str, other: str) -> None:
    for machine in (serving, other):
        lab.power(machine, "off")


def _switch_on_both(lab: Lab, serving: str, other: str) -> None:
    for machine in (serving, other):
        lab.power(machine, "on")


def _cut_config_node(lab: Lab, _serving: str, _other: str) -> None:
    lab.power("cn1", "off")
    wait_until("cn1 is off", lambda: lab.is_off("cn1"), 60)


def _await_config_node(lab: Lab, _serving: str, _other: str) -> None:
    wait_until("cn1 is one of the cluster again", lambda: "cn1" in lab.run("cn1", "crm_node --partition"), 600)


def _maintain(lab: Lab, serving: str, _other: str) -> None:
    lab.playbook("storage_maintenance.yml", "-e", f"node={serving}")
    boot = lab.boot_id(serving)
    lab.run(serving, "systemd-run --quiet --on-active=1 systemctl reboot")
    wait_until(f"{serving} has rebooted", lambda: lab.boot_id(serving) != boot, 600)
    wait_until(f"{serving} is ready", lambda: "ready" in lab.run(serving, "cat /run/bareroot/boot.log"), 300)


def _end_maintenance(lab: Lab, serving: str, _other: str) -> None:
    lab.playbook("storage_maintenance.yml", "-e", f"node={serving}", "-e", "maintenance=end")


def _cut_power_while_migrating(lab: Lab, serving: str, _other: str) -> None:
    """Whether the migration goes through does not matter here; that there is one instance does."""
    where = "hn2" if INSTANCE in lab.run("cn1", f"{HARDWARE_NODE} hn1 xl list") else "hn1"
    argv = lab.playbook_argv("migrate.yml", "-e", f"instance={INSTANCE}", "-e", f"node={where}")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as migration:
        # It is being copied then.
        arrives = f"{HARDWARE_NODE} {where} xl list"
        wait_until("the migration has begun", lambda: f"{INSTANCE}--incoming" in lab.run("cn1", arrives), MIGRATION)
        lab.power(serving, "off")
        migration.wait(timeout=2 * MIGRATION)


FAULTS = {
    "maintenance": Fault(_maintain, (("serving", "other", "serving"), ("serving", "other")), mend=_end_maintenance),
    "shutdown": Fault(_shut_down, MOVES, lasts=60, mend=_switch_on),
    "power_cut": Fault(_cut_power, MOVES, fenced=("serving",)),
    "panic": Fault(_panic, MOVES, fenced=("serving",)),
    "freeze": Fault(_freeze, MOVES, fenced=("serving",)),
    "export_killed": Fault(_kill_export, STAYS, lasts=20, shows=_is_exported_anew),
    "export_stalled": Fault(_stop_export, STAYS, lasts=30, mend=_thaw_exports, shows=_is_exported_anew),
    "replication_cut": Fault(_lose_replication, STAYS, lasts=60, mend=_have_replication, shows=_is_not_replicated),
    "storage_cable_pulled": Fault(_pull_storage_cable, MOVES, fenced=("serving",), lasts=120, holds=True, mend=_plug_storage_cable),
    "one_way_loss": Fault(_deafen, MOVES, fenced=("serving",), lasts=120, holds=True, mend=_undeafen),
    "disk_replaced": Fault(_pull_disk, STAYS, lasts=30, mend=_bring_blank_disk, shows=_is_without_a_disk),
    # Whoever is back first may have the other one fenced, which it knows only as lost.
    "both_cut": Fault(
        _cut_both,
        (("serving",), ("serving", "other")),
        may_be_fenced=("serving", "other"),
        lasts=60,
        mend=_switch_on_both,
        stall=700,
    ),
    "config_node_cut": Fault(_cut_config_node, STAYS, fenced=("cn1",), mend=_await_config_node),
    "power_cut_while_migrating": Fault(_cut_power_while_migrating, MOVES, fenced=("serving",)),
}
