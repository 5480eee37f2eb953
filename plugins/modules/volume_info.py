#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_info
short_description: List a StorageNode's volumes
description:
  - Lists the thin volumes of the halves for which this StorageNode is primary, and how much room these halves have.
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
  - lvm2
"""

EXAMPLES = r"""
- name: List volumes
  bareroot.cloud.volume_info:
  register: storage

- name: Show the snapshots of a volume
  ansible.builtin.debug:
    msg: "{{ storage.volumes | selectattr('template', 'eq', 'web1-root') | rejectattr('export') | map(attribute='name') }}"
"""

RETURN = r"""
volumes:
  description: One dictionary a volume, by name, and those of a template in several halves by half.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: The volume's name.
      type: str
    half:
      description: The half that it lies on.
      type: str
    size:
      description: Size in bytes.
      type: int
    template:
      description: The volume that it is a clone or a snapshot of; empty where there is none.
      type: str
    export:
      description: How it is exported; empty where it is not.
      type: str
    address:
      description: Where clients find it, as shelf.slot; empty where it is not exported.
      type: str
    device:
      description: Its device on the StorageNode.
      type: str
  sample: [{name: web1-root, half: half0, size: 10737418240, template: debian13, export: aoe, address: "1.0",
            device: /dev/bareroot_half0/web1-root}]
pools:
  description: One dictionary a half, by name.
  type: list
  elements: dict
  returned: success
  contains:
    half:
      description: The half.
      type: str
    size:
      description: Size of its thin pool in bytes.
      type: int
    used:
      description: Bytes that volumes have written.
      type: int
    free:
      description: Bytes that can still be written.
      type: int
    metadata_percent:
      description: How much of its metadata is used. When that is full, nothing can be written either.
      type: float
    promised:
      description: Sum of the volumes' sizes in bytes. It may be more than the pool's size, since a volume takes what is written to it.
      type: int
  sample: [{half: half0, size: 51539607552, used: 6442450944, free: 45097156608, metadata_percent: 3.7, promised: 107374182400}]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _volumes
from ..module_utils._runner import RunError, Runner


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        catalog = _volumes.parse(Runner(module).run_json(_volumes.lvs_argv()))
    except RunError as error:
        module.fail_json(msg=f"cannot list volumes: {error}", **error.result)
    except ValueError as error:
        module.fail_json(msg=f"cannot list volumes: {error}")
    module.exit_json(
        changed=False,
        volumes=[volume.as_result() for volume in sorted(catalog, key=lambda volume: (volume.name, volume.half))],
        pools=[{**pool.as_result(), "promised": catalog.promised(pool.half)} for pool in sorted(catalog.pools, key=lambda pool: pool.half)],
    )


if __name__ == "__main__":
    main()
