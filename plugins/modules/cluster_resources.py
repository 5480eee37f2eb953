#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_resources
short_description: Make a running Pacemaker cluster look after the halves of a pair of StorageNodes
description:
  - Runs on one member of the cluster, and writes the cluster's options, a fence device for each voter, and for each half its
    DRBD resource and the unit C(bareroot-half@) on top of it.
  - Owns every cluster option set, default, resource and constraint whose id begins with C(bareroot-), and removes those that it no longer
    wants. What was changed inside of these is put back, C(crm_resource --meta) included. Everything else stays as it is.
  - The whole configuration is written in one step, and only if something differs.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says what would change; where no cluster runs yet, that everything would be added.
    support: full
  diff_mode:
    description: Shows the elements that are bareroot's, before and after. Of passwords it shows digests only.
    support: full
requirements:
  - Pacemaker 3.0
options:
  members:
    description: All voters.
    type: list
    elements: str
    required: true
  storage_nodes:
    description: The two StorageNodes of the pair. V(half0) prefers the first, V(half1) the second. Both must be among O(members).
    type: list
    elements: str
    required: true
  fences:
    description: The BMC of each voter.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: Name of the voter.
        type: str
        required: true
      address:
        description: IPv4 address or host name of its BMC. All other voters must reach it by IPMI.
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
"""

EXAMPLES = r"""
- name: Have the cluster look after the halves
  bareroot.cloud.cluster_resources:
    members: [cn1, sn1, sn2]
    storage_nodes: [sn1, sn2]
    fences:
      - {node: cn1, address: 10.3.0.11, user: admin, password: "{{ vault_bmc_password }}"}
      - {node: sn1, address: 10.3.0.21, user: admin, password: "{{ vault_bmc_password }}"}
      - {node: sn2, address: 10.3.0.22, user: admin, password: "{{ vault_bmc_password }}"}
"""

RETURN = r"""
ids:
  description: Ids of the elements that were or would be added, changed or removed.
  type: list
  elements: str
  returned: success
  sample: [bareroot-fence-sn2, bareroot-half1]
"""

import xml.etree.ElementTree as ET

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _cib
from ..module_utils._fencing import FENCE_SPEC
from ..module_utils._runner import RunError, Runner


def read(runner: Runner, check_mode: bool) -> ET.Element:
    """Return the cluster's configuration. In check mode there may be no cluster yet."""
    try:
        return _cib.read(runner.run(_cib.QUERY))
    except RunError:
        if check_mode:
            return _cib.empty()
        raise


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "members": {"type": "list", "elements": "str", "required": True},
            "storage_nodes": {"type": "list", "elements": "str", "required": True},
            "fences": {"type": "list", "elements": "dict", "required": True, "options": FENCE_SPEC},
        },
        supports_check_mode=True,
    )
    runner = Runner(module)
    try:
        wanted = _cib.wanted(module.params["members"], module.params["storage_nodes"], module.params["fences"])
        present = read(runner, module.check_mode)
        plan = _cib.plan(present, wanted)
        if plan.ids and not module.check_mode:
            runner.run(_cib.REPLACE, data=plan.configuration)
    except ValueError as error:
        module.fail_json(msg=f"cannot configure the cluster: {error}")
    except RunError as error:
        # Not its output: a failing cibadmin may print the configuration, with passwords.
        shown = {key: error.result[key] for key in ("cmd", "rc", "stderr")}
        module.fail_json(msg=f"cannot configure the cluster: {error}; see systemctl status corosync pacemaker", **shown)
    module.exit_json(changed=bool(plan.ids), ids=plan.ids, diff={"before": plan.before, "after": plan.after})


if __name__ == "__main__":
    main()
