#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Write many small text files in one go
description:
  - Makes files have given contents and permissions, each replaced at once, missing parent directories made.
  - One call for all files of a service costs what M(ansible.builtin.copy) costs for one.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says what would change.
    support: full
  diff_mode:
    description: Shows each file that differs.
    support: full
options:
  files:
    description: The files, by path.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      content:
        description: All of the file's text. Either this or O(files[].link) is required.
        type: str
      link:
        description: Make it a symbolic link to this path instead.
        type: path
      mode:
        description: Permissions, as octal digits.
        type: str
        default: "0644"
  absent:
    description: Files that must not be there.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Configure two services
  bareroot.cloud.config_files:
    files:
      - path: /etc/chrony/conf.d/local.conf
        content: |
          allow 10.0.0.0/24
      - path: /etc/dnsmasq.d/local.conf
        content: "{{ lookup('ansible.builtin.template', 'dnsmasq.conf.j2') }}"
    absent:
      - /etc/nginx/sites-enabled/default
"""

RETURN = r"""
files:
  description: Paths of the files that were or would be written or removed.
  type: list
  elements: str
  returned: success
  sample: [/etc/chrony/conf.d/local.conf]
"""

import os
import re
import stat

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _tree

# Four digits: an unquoted 0644 arrives as 420.
MODE = re.compile(r"[0-7]{4}")


def differing(wanted: dict) -> _tree.Change | None:
    """Return how a file differs from what is wanted, or None."""
    path = wanted["path"]
    before = _tree.read(path)
    if wanted["content"] is None:
        after = f"-> {wanted['link']}\n".encode()
        return None if os.path.islink(path) and before == after else _tree.Change(path, before, after)
    after = wanted["content"].encode()
    same = before == after and not os.path.islink(path) and stat.S_IMODE(os.stat(path).st_mode) == int(wanted["mode"], 8)
    return None if same else _tree.Change(path, before, after)


def check(files: list[dict]) -> None:
    """Refuse, before anything is written, permissions that mean something else than they look like."""
    for wanted in files:
        if not MODE.fullmatch(wanted["mode"]):
            raise ValueError(f"mode {wanted['mode']!r} of {wanted['path']}: write octal digits in quotes, such as '0644'")


def put(wanted: dict, change: _tree.Change) -> None:
    os.makedirs(os.path.dirname(change.path), exist_ok=True)
    if wanted["content"] is None:
        _tree.link(wanted["link"], change.path)
    else:
        _tree.write(change.path, change.after, int(wanted["mode"], 8))


def main() -> None:
    file_options = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str"},
        "link": {"type": "path"},
        "mode": {"type": "str", "default": "0644"},
    }
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": file_options,
                "required_one_of": [("content", "link")],
                "mutually_exclusive": [("content", "link")],
            },
            "absent": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        check(module.params["files"])
        present = [(wanted, change) for wanted in module.params["files"] if (change := differing(wanted))]
        surplus = [_tree.Change(path, _tree.read(path), None) for path in module.params["absent"] if os.path.lexists(path)]
        if not module.check_mode:
            for wanted, change in present:
                put(wanted, change)
            for change in surplus:
                os.unlink(change.path)
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"cannot write the files: {error}")
    changes = [*(change for _wanted, change in present), *surplus]
    module.exit_json(
        changed=bool(changes),
        files=[change.path for change in changes],
        diff=[_tree.text_diff(change, change.path) for change in changes],
    )


if __name__ == "__main__":
    main()
