#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: half_location
short_description: Have a half served by one StorageNode of a pair
description:
  - Moves a half, with all volumes on it, to a StorageNode. Those who use its volumes see a pause, not an error.
  - All reasons against it are reported together, also in check mode, and nothing is changed.
  - The half may move again later, when its StorageNode fails or leaves. Every constraint that C(crm_resource) made for the half, by this
    move or before, is removed, also after a move that failed.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode. Makes all checks, and says whether the half would move.
    support: full
  diff_mode:
    description: Shows the StorageNode before and after.
    support: full
requirements:
  - Runs on a member of the cluster, normally the ConfigNode, as root
  - Pacemaker 3.0
options:
  half:
    description: The half.
    type: str
    choices: [half0, half1]
    required: true
  node:
    description: The StorageNode that is to serve it.
    type: str
    required: true
  timeout:
    description: How long the move may take, in seconds.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Have sn2 serve half0
  bareroot.cloud.half_location:
    half: half0
    node: sn2
  delegate_to: cn1
"""

RETURN = r"""
half:
  description: The half.
  type: str
  returned: success
  sample: half0
node:
  description: The StorageNode that serves it, or would in check mode.
  type: str
  returned: success
  sample: sn2
seconds:
  description: Time that the move took; 0 where there was none.
  type: float
  returned: success
  sample: 8.4
obstacles:
  description: Why it cannot be moved.
  type: list
  elements: str
  returned: when it cannot be moved
  sample: [the DRBD of half0 does not run on sn2]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _cluster_state, _cluster_wait
from ..module_utils._cluster_state import State
from ..module_utils._runner import RunError, Runner
from ..module_utils._storage_layout import HALVES


class MoveError(Exception):
    """A half was not moved, or not without traces."""


def served_by(state: State, half: str) -> str:
    return state.halves[half].node if half in state.halves else ""


def move(runner: Runner, half: str, node: str, timeout: int) -> float:
    """Move a half and return how long it took, in seconds."""

    def lacking(state: State) -> list[str]:
        now = served_by(state, half)
        return [] if now == node else [f"{half} is served by {now or 'nobody'}"]

    resource = ["--resource", f"bareroot-{half}"]
    seconds, reasons = 0.0, []
    try:
        outcome = _cluster_wait.tell(runner, ["crm_resource", "--move", *resource, "--node", node], lacking, timeout)
        seconds = outcome.seconds
        if outcome.lacking:
            reasons.append(f"after {timeout} s {half} is not served by {node}: {'; '.join(outcome.lacking)}")
    except (RunError, _cluster_wait.NoClusterError) as error:
        reasons.append(f"cannot move {half} to {node}: {error}")
    try:
        # What --move leaves behind would keep the half there for ever.
        runner.run(["crm_resource", "--clear", *resource])
    except RunError as error:
        reasons.append(f"the constraint that moves {half} to {node} could not be removed, run this command yourself: {error}")
    if reasons:
        raise MoveError(". ".join(reasons))
    return seconds


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "half": {"type": "str", "choices": list(HALVES), "required": True},
            "node": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    runner = Runner(module)
    half, node, timeout = (module.params[option] for option in ("half", "node", "timeout"))
    try:
        state = _cluster_wait.look(runner)
        before = served_by(state, half)
        changed = before != node
        obstacles = _cluster_state.move_obstacles(state, half, node) if changed else []
        if obstacles:
            module.fail_json(msg=f"{half} cannot be moved to {node}, and nothing was changed: {'; '.join(obstacles)}", obstacles=obstacles)
        seconds = move(runner, half, node, timeout) if changed and not module.check_mode else 0.0
    except _cluster_wait.NoClusterError as error:
        module.fail_json(msg=f"cannot move {half} to {node}: {error}", **error.result)
    except MoveError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        half=half,
        node=node,
        seconds=round(seconds, 1),
        diff={"before": f"{half}: {before or 'nobody'}\n", "after": f"{half}: {node}\n"},
    )


if __name__ == "__main__":
    main()
