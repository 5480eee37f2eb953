#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fence_info
short_description: Ask BMCs, as the cluster would, whether their machines are on
description:
  - Runs C(fence_ipmilan) with the same parameters as the cluster does, for all BMCs side by side, and changes no power.
  - A BMC that does not answer is no failure of the module. It says which ones do not, and why.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode; changes nothing.
    support: full
  diff_mode:
    description: There is nothing to differ.
    support: none
requirements:
  - fence-agents-ipmilan
options:
  fences:
    description: The BMCs.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the machine.
        type: str
        required: true
      address:
        description: IPv4 address or host name of its BMC.
        type: str
        required: true
      user:
        description: User name for the BMC.
        type: str
        required: true
      password:
        description: Password for the BMC.
        type: str
        required: true
      cipher:
        description: Cipher suite for IPMI 2.0, for example V(3). Empty for the agent's default.
        type: str
        default: ""
  timeout:
    description: How long a BMC may take, in seconds.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: Ask whether each voter can be fenced from here
  bareroot.cloud.fence_info:
    fences:
      - node: sn1
        address: 10.3.0.21
        user: admin
        password: "{{ vault_bmc_password }}"
  register: fencing
"""

RETURN = r"""
states:
  description: V(on) or V(off) for each machine whose BMC answered.
  type: dict
  returned: success
  sample: {sn1: "on"}
broken:
  description: Why the state of each other machine is not known.
  type: dict
  returned: success
  sample: {sn2: "Failed: Unable to obtain correct plug status or plug is not available"}
installed:
  description: Whether C(fence_ipmilan) is installed. Where it is not, O(ignore:states) and O(ignore:broken) are empty.
  type: bool
  returned: success
"""

from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _fencing
from ..module_utils._runner import Runner


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "fences": {"type": "list", "elements": "dict", "required": True, "options": _fencing.FENCE_SPEC},
            "timeout": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    runner = Runner(module)
    fences = module.params["fences"]
    with ThreadPoolExecutor(max_workers=max(1, len(fences))) as pool:
        results = list(pool.map(lambda fence: _fencing.ask(runner, fence, module.params["timeout"]), fences))
    answers = {fence["node"]: answer for fence, answer in zip(fences, results, strict=True)}
    module.exit_json(
        changed=False,
        states={node: answer.state for node, answer in answers.items() if answer.state},
        broken={node: answer.broken for node, answer in answers.items() if answer.broken},
        installed=all(answer.state or answer.broken for answer in answers.values()),
    )


if __name__ == "__main__":
    main()
