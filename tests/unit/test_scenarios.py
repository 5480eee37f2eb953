"""Molecule passes over a playbook that is missing, and says that all went well."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

MOLECULE = Path(__file__).parents[2] / "molecule"
# Those which all scenarios share.
SHARED = {"create", "converge", "destroy", "idempotence", "verify"}


def steps() -> list[tuple[Path, str]]:
    """Return each scenario's directory with each of its steps."""
    found = sorted(MOLECULE.glob("*/molecule.yml"))
    assert found
    return [(path.parent, step) for path in found for step in yaml.safe_load(path.read_text())["scenario"]["test_sequence"]]


@pytest.mark.parametrize(("scenario", "step"), steps(), ids=lambda value: getattr(value, "name", value))
def test_each_step_of_a_scenario_has_its_playbooks(scenario, step):
    action, *playbooks = step.split()
    # Also the action's own, where only others are asked for: without it molecule runs none of them.
    wanted = [] if action in SHARED else [f"{action}.yml", *playbooks]
    assert [name for name in wanted if not (scenario / name).exists()] == []
