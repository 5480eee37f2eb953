#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drbd_info
short_description: Say how the halves of a StorageNode are replicated
description:
  - Reads C(/proc/drbd) of DRBD 8.4, as one StorageNode sees it.
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
"""

EXAMPLES = r"""
- name: See how the halves are
  bareroot.cloud.drbd_info:
  register: found
"""

RETURN = r"""
halves:
  description: One dictionary a half, by its name; empty where DRBD is not loaded. A half for which DRBD is down is not listed, or is
    V(Unconfigured).
  type: dict
  returned: success
  contains:
    connection:
      description: DRBD's connection state, such as V(Connected) or V(StandAlone).
      type: str
    role:
      description: V(Primary) where this StorageNode serves the half, else V(Secondary).
      type: str
    peer_role:
      description: The other StorageNode's role.
      type: str
    disk:
      description: State of the data here, such as V(UpToDate).
      type: str
    peer_disk:
      description: State of the data on the other StorageNode.
      type: str
    suspended:
      description: Whether I/O waits, such as until the other StorageNode has been fenced.
      type: bool
    out_of_sync:
      description: How much is known to differ, in bytes.
      type: int
    synced:
      description: How much of a resync is done, in percent; null where none runs.
      type: float
  sample: {half0: {connection: Connected, role: Primary, peer_role: Secondary, disk: UpToDate, peer_disk: UpToDate, suspended: false,
                   out_of_sync: 0, synced: null}}
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _drbd

STATUS = "/proc/drbd"


def read(path: str) -> str:
    """Return what DRBD says; nothing where it is not loaded."""
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        halves = _drbd.parse(read(STATUS))
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"cannot tell how the halves are: {error}")
    module.exit_json(changed=False, halves={name: asdict(half) for name, half in halves.items()})


if __name__ == "__main__":
    main()
