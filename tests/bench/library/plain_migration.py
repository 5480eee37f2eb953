# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sysadmin without bareroot does: `xl migrate`, checked by nobody, watched by the same probes. For the bench only."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bareroot.cloud.plugins.module_utils import _fabric, _probe, _xen_host
from ansible_collections.bareroot.cloud.plugins.module_utils._access import Access
from ansible_collections.bareroot.cloud.plugins.module_utils._runner import Runner

INTERVAL = 0.05
PATIENCE = 60


def main() -> None:
    names = ("name", "source", "node", "address")
    module = AnsibleModule(argument_spec={name: {"type": "str", "required": True} for name in names})
    name, source, node, address = (module.params[name] for name in names)
    access = Access(Runner(module))
    prober = _probe.Prober(address, INTERVAL)
    prober.start()
    if not prober.wait_answer(PATIENCE):
        module.fail_json(msg=f"{name} does not answer")
    reach = " ".join(_xen_host.reach(node))
    target = _fabric.address_for_migrations(access, source, node)
    began = time.monotonic()
    access.run(source, ["xl", "migrate", "-s", reach, name, target], timeout=600)
    duration = time.monotonic() - began
    prober.wait_answer(PATIENCE)
    module.exit_json(changed=True, duration_s=round(duration, 2), **_probe.report(prober.stop(), INTERVAL))


if __name__ == "__main__":
    main()
