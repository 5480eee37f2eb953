"""Each variable is described once, in its role's argument spec, as its default and our inventories have it."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

PROJECT = Path(__file__).parents[2]
GENERATOR = runpy.run_path(str(PROJECT / "tests" / "docs" / "inventory_reference.py"))
ROLES = sorted(path.name for path in (PROJECT / "roles").iterdir() if (path / "tasks").is_dir())
INVENTORIES = ("lab", "sample")
# Longest first: node_image_pin is not a variable of the role `node`.
OWNERS = sorted(ROLES, key=len, reverse=True)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def options(role: str) -> dict[str, dict[str, Any]]:
    path = PROJECT / "roles" / role / "meta" / "argument_specs.yml"
    return read(path)["argument_specs"]["main"]["options"] if path.exists() else {}


def defaults(role: str) -> dict[str, Any]:
    path = PROJECT / "roles" / role / "defaults" / "main.yml"
    return (read(path) or {}) if path.exists() else {}


def owner(variable: str) -> str:
    """Return the role whose variable this is, or an empty string."""
    return next((role for role in OWNERS if variable.startswith(f"{role}_")), "")


def is_template(value: Any) -> bool:
    if isinstance(value, dict):
        return any(is_template(part) for part in value.values())
    if isinstance(value, list):
        return any(is_template(part) for part in value)
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def inventory_variables() -> Iterator[tuple[str, Any]]:
    """Yield every variable that the project's own inventories set, as often as they do."""
    for file in (file for inventory in INVENTORIES for file in (PROJECT / "inventory" / inventory).rglob("*.yml")):
        content = read(file)
        if {"group_vars", "host_vars"} & set(file.parts):
            yield from content.items()
        else:
            for group in content.values():
                yield from group_variables(group or {})


def group_variables(group: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from (group.get("vars") or {}).items()
    for host in (group.get("hosts") or {}).values():
        yield from (host or {}).items()
    for child in (group.get("children") or {}).values():
        yield from group_variables(child or {})


VARIABLES = [(name, value) for name, value in inventory_variables() if owner(name)]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_a_spec_that_says_who_made_what_and_when(role):
    spec = GENERATOR["specs"]()[role]
    assert {"short_description", "description", "author", "version_added", "options"} <= spec.keys()


@pytest.mark.parametrize("role", ROLES)
def test_the_spec_has_the_defaults_of_the_role_and_no_others(role):
    plain = {name: value for name, value in defaults(role).items() if not is_template(value)}
    assert {name: option["default"] for name, option in options(role).items() if "default" in option} == plain


@pytest.mark.parametrize("role", ROLES)
def test_the_spec_says_from_what_a_templated_default_is_computed(role):
    computed = {name for name, value in defaults(role).items() if is_template(value)}
    assert {name for name, option in options(role).items() if GENERATOR["is_computed"](option)} == computed


@pytest.mark.parametrize("role", ROLES)
def test_every_option_has_a_type_and_a_description(role):
    for name, option in options(role).items():
        assert option["type"] != "list" or "elements" in option, name
        assert all(sentence.rstrip().endswith(".") for sentence in GENERATOR["sentences"](option)), name


@pytest.mark.parametrize("role", ROLES)
def test_every_option_carries_the_name_of_its_role(role):
    for name, option in options(role).items():
        if owner(name) == role:
            continue
        # Another role's variable is repeated only where this role cannot do without it.
        assert option.get("required"), f"{name} is not required by {role}: describe it in the role whose prefix it carries"
        assert option["type"] == options(owner(name)).get(name, {}).get("type"), f"{name} is not the same in {role} and in its own role"


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_read_somewhere(role):
    read_in = ("roles/*/tasks/**/*.yml", "roles/*/templates/**/*.j2", "roles/*/vars/*.yml", "roles/*/defaults/*.yml")
    files = [file for pattern in (*read_in, "plugins/filter/*.py") for file in PROJECT.glob(pattern)]
    words = {word for file in files for word in re.findall(r"\w+", re.sub(r"(?m)^\w+:", "", file.read_text(encoding="utf-8")))}
    unread = options(role).keys() - words
    # The filter wanted_instances hands these on without their prefix.
    assert {name for name in unread if role != "instance" or name.removeprefix("instance_") not in words} == set()


@pytest.mark.parametrize("name", sorted({name for name, _value in VARIABLES}))
def test_the_variables_of_our_inventories_are_described_and_of_the_right_type(name):
    assert name in options(owner(name)), f"{name} is missing in roles/{owner(name)}/meta/argument_specs.yml"
    validator = ArgumentSpecValidator({name: options(owner(name))[name]})
    for other, value in VARIABLES:
        if other == name and not is_template(value):
            assert validator.validate({name: value}, validate_role_argument_spec=True).error_messages == []


def test_the_reference_page_is_what_the_generator_prints():
    page = (PROJECT / "docs" / "inventory-reference.md").read_text(encoding="utf-8")
    assert page == GENERATOR["render"](), "run tests/docs/inventory_reference.py >docs/inventory-reference.md"
