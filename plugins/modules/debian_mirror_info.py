#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: debian_mirror_info
short_description: Read which Debian mirror a machine's apt uses
description:
  - Reads the addresses of the Debian archive and of its security archive from C(apt-get indextargets),
    so that images can be built from the mirror that the machine already uses.
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
  - Debian with apt on the managed node
"""

EXAMPLES = r"""
- name: Read which mirror this machine uses
  bareroot.cloud.debian_mirror_info:
  register: mirror
"""

RETURN = r"""
main:
  description: Address of the Debian archive, without a trailing slash.
  type: str
  returned: success
  sample: http://mirror.example/debian
security:
  description: Address of the security archive, without a trailing slash.
  type: str
  returned: success
  sample: http://mirror.example/debian-security
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._debian import INDEX_TARGETS, mirrors
from ..module_utils._runner import RunError, Runner


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        found = mirrors(Runner(module).run(INDEX_TARGETS))
    except RunError as error:
        module.fail_json(msg=f"cannot read apt's sources: {error}", **error.result)
    missing = [kind for kind in ("main", "security") if kind not in found]
    if missing:
        module.fail_json(
            msg=f"apt on this machine knows no Debian archive for: {', '.join(missing)}. Run apt-get update, or "
            "give the addresses in node_image_mirror, for example "
            "{'main': 'http://mirror.example/debian', 'security': 'http://mirror.example/debian-security'}"
        )
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
