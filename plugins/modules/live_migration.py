#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: live_migration
short_description: Have an instance run on a HardwareNode, moved there live
description:
  - Migrates a running instance and watches it from the ConfigNode meanwhile, with a probe (ICMP echo) at least every 100 ms.
  - Checks everything first, also in check mode, and reports all reasons against it together. If it breaks, the instance runs on exactly
    one HardwareNode afterwards; the error says on which.
  - "Reason codes:
    C(NODE_UNKNOWN) the target is no HardwareNode;
    C(TARGET_SILENT) the target does not answer;
    C(INSTANCE_NOT_RUNNING) the instance runs on no HardwareNode that answers;
    C(INSTANCE_TWICE) there is more than one copy of the instance;
    C(INSTANCE_NOT_LIVE) the instance is paused, shut down or crashed;
    C(INSTANCE_SILENT) the instance does not answer the ConfigNode's probes;
    C(MIGRATION_RUNNING) the instance is being migrated already;
    C(TYPE_NOT_MIGRATABLE) guests of this type cannot be migrated live;
    C(DISK_NOT_SHARED) a disk of the instance is no volume of a StorageNode;
    C(DEVICE_ASSIGNED) a device of its HardwareNode is assigned to the instance;
    C(MEMORY_SHORT) the target has too little free memory;
    C(XEN_DIFFERS) the target runs another version of Xen;
    C(CPU_DIFFERS) the target's CPU has other features;
    C(NO_VIRTUALIZATION) the target's CPU or firmware has no hardware virtualization;
    C(VOLUME_MISSING) the target does not see a volume of the instance;
    C(VOLUME_DIFFERS) the target sees a volume of the instance with another size;
    C(BRIDGE_MISSING) the target lacks a bridge that the instance is on;
    C(RECEIVER_REFUSED) the target does not let the source start Xen's migration receiver."
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode. Makes all checks, and says whether the instance would be migrated.
    support: full
  diff_mode:
    description: Shows the node before and after.
    support: full
requirements:
  - Runs on a ConfigNode, after C(playbooks/boot_tree.yml), as root
options:
  name:
    description: The instance.
    type: str
    required: true
  node:
    description: The HardwareNode that it is to run on.
    type: str
    required: true
  address:
    description: The instance's IPv4 address, to which the probes are sent.
    type: str
    required: true
  interval:
    description: Time between probes in milliseconds, 100 at most.
    type: int
    default: 50
  timeout:
    description: How long the migration may take, in seconds. After that it is ended and the instance stays where it is.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Move web1
  bareroot.cloud.live_migration:
    name: web1
    node: hn2
    address: 10.2.0.10
  delegate_to: cn1
"""

RETURN = r"""
from:
  description: The HardwareNode where the instance ran.
  type: str
  returned: success
  sample: hn1
to:
  description: The HardwareNode where it runs now.
  type: str
  returned: success
  sample: hn2
blackout_ms:
  description: From the send time of the last answered probe to that of the first one answered after the gap, less the interval; the
    longest such gap, in milliseconds.
  type: int
  returned: when it was migrated
  sample: 1850
probes_sent:
  description: Probes sent from before the migration until after it.
  type: int
  returned: when it was migrated
  sample: 402
probes_lost:
  description: Probes that were never answered.
  type: int
  returned: when it was migrated
  sample: 36
probes_late:
  description: Probes that the ConfigNode sent more than half an interval late.
  type: int
  returned: when it was migrated
  sample: 1
rtt_max_ms:
  description: The longest time that a probe took to be answered, in milliseconds.
  type: float
  returned: when it was migrated
  sample: 21.5
recovered:
  description: Whether it answered the last probe.
  type: bool
  returned: when it was migrated
  sample: true
duration_s:
  description: Time that the migration took, in seconds.
  type: float
  returned: when it was migrated
  sample: 12.8
reasons:
  description: Why it was not migrated, each with its code and a message.
  type: list
  elements: dict
  returned: when a check failed
  sample: [{code: MEMORY_SHORT, message: web1 has 256 MiB and hn2 has 100 MiB free}]
node:
  description: Where the instance runs; empty where nobody knows.
  type: str
  returned: when a migration broke
  sample: hn1
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _addresses, _fabric, _migration, _names, _probe
from ..module_utils._access import Access
from ..module_utils._instances import View
from ..module_utils._runner import RunError, Runner

LONGEST_INTERVAL = 100
# Until an instance counts as silent, in seconds: before it is moved, and when it wakes up on a busy target.
ANSWER_TIMEOUT = 5
WAKE_TIMEOUT = 30
# How long xl may take to make up its mind after a break, and between two looks, in seconds.
SETTLE_TIMEOUT = 60
SETTLE_PAUSE = 2


class BrokenError(Exception):
    """A migration broke; says where the instance is."""

    def __init__(self, message: str, node: str) -> None:
        super().__init__(message)
        self.node = node


def check_options(params: dict[str, Any]) -> None:
    for option in ("name", "node"):
        if not _names.matches(_names.HOST, params[option]):
            raise ValueError(f"{option} {params[option]!r}: use lower-case letters, digits and inner hyphens, such as web1")
    if not _addresses.is_ipv4(params["address"]):
        raise ValueError(f"address {params['address']!r} is no IPv4 address; write one such as 10.2.0.10")
    if not 1 <= params["interval"] <= LONGEST_INTERVAL:
        raise ValueError(f"interval {params['interval']}: write 1 to {LONGEST_INTERVAL} milliseconds")
    if params["timeout"] < 1:
        raise ValueError(f"timeout {params['timeout']}: write one or more seconds")


class Migration:
    """One instance on its way from one HardwareNode to another."""

    def __init__(self, access: Access, params: dict[str, Any]) -> None:
        self.access = access
        self.name, self.target = params["name"], params["node"]
        self.timeout = params["timeout"]
        self.prober = _probe.Prober(params["address"], params["interval"] / 1000)
        self.interval = params["interval"] / 1000
        self.view = _fabric.look(access)
        self.source = self.view.node_of(self.name)

    def check(self) -> list[_migration.Reason]:
        """Return all reasons against it. Starts the probes if it is to move."""
        facts = self._facts() if self.source and self.source != self.target else _migration.Facts()
        reasons = _migration.check(self.view, self.name, self.target, facts)
        if _migration.VOLUME_CODES & {reason.code for reason in reasons}:
            # The target may not have met them yet, or not since they grew.
            _fabric.find_volumes(self.access, self.target, self.view.hosts[self.source].domains[self.name].volumes)
            self.view = _fabric.look(self.access)
            reasons = _migration.check(self.view, self.name, self.target, facts)
        return reasons

    def _facts(self) -> _migration.Facts:
        self.prober.start()
        known = self.target in self.view.hosts
        receiver = _fabric.receiver_problem(self.access, self.source, self.target) if known else ""
        return _migration.Facts(receiver, self.prober.wait_answer(ANSWER_TIMEOUT))

    def run(self) -> dict[str, Any]:
        """Migrate, and return figures. Raises BrokenError where the instance is not on the target afterwards."""
        began = time.monotonic()
        reason = self._send()
        duration = time.monotonic() - began
        # The target is busy waking it up: whoever looks there now lengthens the blackout.
        awake = not reason and self.prober.wait_answer(WAKE_TIMEOUT)
        node = self.target if awake and self._has_left() else self._settle(reason)
        if node != self.target:
            raise BrokenError(f"{self.name} was not migrated to {self.target} and runs on {node}. {reason}", node)
        if reason:
            self.prober.wait_answer(ANSWER_TIMEOUT)
        try:
            probes = self.prober.stop()
        except OSError as error:
            raise BrokenError(f"{self.name} runs on {node}, and its probes ended early: {error}", node) from error
        return {"duration_s": round(duration, 2), **_probe.report(probes, self.interval)}

    def _send(self) -> str:
        """Return why xl did not migrate it, or an empty string."""
        try:
            _fabric.send(self.access, self.name, self.source, self.target, self.timeout)
        except RunError as error:
            return _migration.explain(error.result["stdout"].strip() or error.result["stderr"].strip() or str(error))
        return ""

    def _has_left(self) -> bool:
        """Whether the source has no copy any more: then the one that answers is the one of which xl says that it runs on the target."""
        hosts = _fabric.find_copies(self.access, [self.source])
        return self.source in hosts and not View(hosts).copies(self.name)

    def _settle(self, reason: str) -> str:
        """Return where the instance runs, once, after putting right what a break left."""
        if reason:
            _fabric.abort(self.access, self.name, self.source)
        try:
            verdict = self._put_right(reason)
        except RunError:
            # What a step was for may have gone by itself: once more, from a new look.
            verdict = self._put_right_at_last(reason)
        if not verdict.node:
            raise BrokenError(f"{self.name} runs nowhere any more: start it with playbooks/instances.yml. {reason}", "")
        return verdict.node

    def _put_right_at_last(self, reason: str) -> _migration.Verdict:
        try:
            return self._put_right(reason)
        except RunError as error:
            raise BrokenError(f"{self.name}: {error}. {reason}", "") from error

    def _put_right(self, reason: str) -> _migration.Verdict:
        deadline = time.monotonic() + SETTLE_TIMEOUT
        while True:
            hosts = _fabric.find_copies(self.access, [self.source, self.target])
            patient = time.monotonic() < deadline
            verdict = _migration.resolve(self.name, hosts.get(self.source), hosts.get(self.target), patient)
            if verdict.settled or not patient:
                break
            time.sleep(SETTLE_PAUSE)
        if verdict.problem:
            raise BrokenError(f"{self.name}: {verdict.problem}. {reason}", "")
        for node, command in verdict.steps:
            self.access.run(node, command)
        return verdict


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "node": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "interval": {"type": "int", "default": 50},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        check_options(params)
        migration = Migration(Access(Runner(module)), params)
        changed = migration.source != params["node"]
        reasons = migration.check()
        if reasons:
            lines = "; ".join(f"{reason.code}: {reason.message}" for reason in reasons)
            module.fail_json(
                msg=f"{params['name']} was not touched. {lines}",
                reasons=[{"code": reason.code, "message": reason.message} for reason in reasons],
            )
        figures = migration.run() if changed and not module.check_mode else {}
    except BrokenError as error:
        module.fail_json(msg=str(error), node=error.node)
    except RunError as error:
        module.fail_json(msg=f"cannot migrate {params['name']}: {error}", **error.result)
    except (ValueError, OSError) as error:
        module.fail_json(msg=str(error))
    if not figures.get("recovered", True):
        module.warn(f"{params['name']} runs on {params['node']} and has not answered its last probes: look at its console there")
    places = {"from": migration.source, "to": params["node"]}
    diff = {"before": f"{migration.source}\n", "after": f"{params['node']}\n"}
    module.exit_json(changed=changed, diff=diff, **places, **figures)


if __name__ == "__main__":
    main()
