#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Say what the cluster of a pair of StorageNodes is like
description:
  - Asks Pacemaker on a member of the cluster for members, quorum, halves, fencing and failed actions, and says what is wrong.
  - Where no cluster runs here, it says so, and that is no error.
  - Whether DRBD is in sync is not asked.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
requirements:
  - Runs on a member of the cluster, normally the ConfigNode, as root
  - Pacemaker 3.0
options:
  storage_nodes:
    description: The pair. Without it, nothing is said about what a pair lacks.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: See what the cluster is like
  bareroot.cloud.cluster_info:
    storage_nodes: [sn1, sn2]
  delegate_to: cn1
  register: seen
"""

RETURN = r"""
running:
  description: Whether a cluster answers here.
  type: bool
  returned: always
why:
  description: Why none answers.
  type: str
  returned: when none answers
  sample: "no cluster answers here: cluster is not available on this node; see systemctl status corosync pacemaker"
cluster:
  description: What the cluster says; empty where none answers.
  type: dict
  returned: always
  contains:
    quorate:
      description: Whether there is a quorum.
      type: bool
    dc:
      description: The member that decides for all; empty where there is none.
      type: str
    members:
      description: For each voter C(online), C(standby), C(unclean), C(pending) and C(maintenance).
      type: dict
    halves:
      description: For each half C(node), where it is served, C(promoted), where DRBD is primary, C(connected), where DRBD runs, C(held_by),
        where anything of it is, and C(blocked).
      type: dict
    fences:
      description: For each node that has a fence device, whether the device runs.
      type: dict
    failures:
      description: One line for each failed action.
      type: list
      elements: str
    fencing:
      description: For each fencing that is under way, or was a node's last and failed, C(node), C(action), C(status) and C(reason).
      type: list
      elements: dict
  sample:
    quorate: true
    dc: cn1
    members:
      sn1: {online: true, standby: false, unclean: false, pending: false, maintenance: false}
    halves:
      half0: {node: sn1, promoted: sn1, connected: [sn1, sn2], held_by: [sn1, sn2], blocked: false}
    fences: {sn1: true}
    failures: []
    fencing: []
problems:
  description: All that is wrong, in words, each with what to do where that is known. Empty where no cluster answers.
  type: list
  elements: str
  returned: always
  sample: ["sn1 is in maintenance (standby): playbooks/storage_maintenance.yml -e node=sn1 -e maintenance=end"]
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _cluster_state, _cluster_wait
from ..module_utils._runner import Runner


def main() -> None:
    module = AnsibleModule(
        argument_spec={"storage_nodes": {"type": "list", "elements": "str", "default": []}},
        supports_check_mode=True,
    )
    try:
        state = _cluster_wait.look(Runner(module))
    except _cluster_wait.NoClusterError as error:
        module.exit_json(changed=False, running=False, why=str(error), cluster={}, problems=[])
    problems = _cluster_state.problems(state, module.params["storage_nodes"])
    module.exit_json(changed=False, running=True, cluster=asdict(state), problems=problems)


if __name__ == "__main__":
    main()
