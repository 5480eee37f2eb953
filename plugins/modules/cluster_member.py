#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_member
short_description: Have a StorageNode leave its pair for maintenance, and return
description:
  - Puts a member of the cluster into standby, and waits until the other StorageNode serves its halves and DRBD is stopped on it; or ends
    that, and waits until it is an active member with the DRBD of both halves.
  - Before it leaves, all reasons against it are reported together, also in check mode, and nothing is changed. Whether the other
    StorageNode's data is in sync is not among them.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode. Makes all checks, and says whether the member would leave or return.
    support: full
  diff_mode:
    description: Shows the state before and after.
    support: full
requirements:
  - Runs on a member of the cluster, normally the ConfigNode, as root
  - Pacemaker 3.0
options:
  name:
    description: The member.
    type: str
    required: true
  state:
    description: V(standby) serves nothing, also after a reboot; V(active) takes part.
    type: str
    choices: [active, standby]
    required: true
  timeout:
    description: How long it may take, in seconds.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Have sn1 leave
  bareroot.cloud.cluster_member:
    name: sn1
    state: standby
  delegate_to: cn1

- name: Have sn1 return
  bareroot.cloud.cluster_member:
    name: sn1
    state: active
  delegate_to: cn1
"""

RETURN = r"""
name:
  description: The member.
  type: str
  returned: success
  sample: sn1
state:
  description: Its state.
  type: str
  returned: success
  sample: standby
obstacles:
  description: Why it must not leave.
  type: list
  elements: str
  returned: when it must not leave
  sample: [sn2 is offline]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _cluster_state, _cluster_wait
from ..module_utils._cluster_state import State
from ..module_utils._runner import RunError, Runner

SET = ["--update", "on"]
UNSET = ["--delete"]


def lacking(state: State, name: str, wanted: str) -> list[str]:
    """Return what keeps a member from being what is wanted."""
    if wanted == "active":
        return _cluster_state.missing(state, name)
    is_standby = name in state.members and state.members[name].standby
    return [*([] if is_standby else [f"{name} is not in standby"]), *_cluster_state.remaining(state, name)]


def command(state: State, name: str, wanted: str) -> list[str]:
    """Return what must be told; nothing where it was told before."""
    if state.members[name].standby == (wanted == "standby"):
        return []
    return ["crm_attribute", "--node", name, "--name", "standby", *(SET if wanted == "standby" else UNSET), "--lifetime", "forever"]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["active", "standby"], "required": True},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    runner = Runner(module)
    name, wanted, timeout = (module.params[option] for option in ("name", "state", "timeout"))
    try:
        state = _cluster_wait.look(runner)
        if name not in state.members:
            module.fail_json(msg=f"name {name!r} is no member of the cluster; write one of: {', '.join(state.members)}")
        changed = bool(lacking(state, name, wanted))
        obstacles = _cluster_state.obstacles(state, name) if changed and wanted == "standby" else []
        if obstacles:
            module.fail_json(msg=f"{name} must not leave now, and nothing was changed: {'; '.join(obstacles)}", obstacles=obstacles)
        if changed and not module.check_mode:
            argv = command(state, name, wanted)
            outcome = _cluster_wait.tell(runner, argv, lambda now: lacking(now, name, wanted), timeout)
            if outcome.lacking:
                module.fail_json(
                    msg=f"{name} is to be {wanted} and is not yet so after {timeout} s: {'; '.join(outcome.lacking)}. The cluster goes on "
                    "trying; put right what is wrong and run this again, with a longer timeout where it only takes long"
                )
    except (RunError, _cluster_wait.NoClusterError) as error:
        module.fail_json(msg=f"cannot make {name} {wanted}: {error}", **error.result)
    before = "standby" if state.members[name].standby else "active"
    module.exit_json(
        changed=changed,
        name=name,
        state=wanted,
        diff={"before": f"{name}: {before}\n", "after": f"{name}: {wanted}\n"},
    )


if __name__ == "__main__":
    main()
