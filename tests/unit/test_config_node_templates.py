"""Whatever stands in an inventory is refused, or stands in the ConfigNode's files as one word that their formats read back."""

from __future__ import annotations

import configparser
import re
import shlex
from ipaddress import IPv4Network
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _inventory

TEMPLATES = Path(__file__).parents[2] / "roles" / "config_node" / "templates"
RIGHT = {"node_address": "10.0.0.1", "config_node_boot_network": "10.0.0.0/24", "config_node_log_size": "1G"}


def render(template, values):
    network = IPv4Network(values["config_node_boot_network"])
    derived = {"__config_node_network": str(network.network_address), "__config_node_netmask": str(network.netmask)}
    fixed = {"ansible_managed": "Made by Ansible", "__config_node_state": "/var/lib/bareroot", "__config_node_served": "/srv/bareroot"}
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - no HTML
    return environment.from_string((TEMPLATES / template).read_text(encoding="utf-8")).render(**fixed, **derived, **values)


def words(pattern):
    """Return what reads the one value of a format that splits words like a shell."""

    def read(text):
        (line,) = [line for line in text.splitlines() if re.match(pattern, line)]
        return shlex.split(re.sub(pattern, "", line))

    return read


def quoted(pattern):
    return lambda text: re.findall(pattern, text)


def unit(section, option):
    """Return what reads the last value of an option of systemd's files."""

    def read(text):
        parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"))
        parser.read_string(text)
        return [parser[section][option].partition(":19532")[0]]

    return read


def inner_shell(text):
    command = shlex.split(words("ExecStartPre=")(text)[2])
    return [command[command.index("to") + 1]]


READERS = [
    ("boot.ipxe.j2", "node_address", quoted(r"chain http://([^\s/$]+)/boot/")),
    ("chrony.conf.j2", "config_node_boot_network", words("allow ")),
    ("dnsmasq.conf.j2", "node_address", words("listen-address=")),
    ("dnsmasq.service.j2", "node_address", inner_shell),
    ("firewall.nft.j2", "node_address", quoted(r"ip daddr ([^\s;{}]+) fib daddr")),
    ("journal-remote.conf.j2", "config_node_log_size", unit("Remote", "MaxUse")),
    ("journal-remote.socket.j2", "node_address", unit("Socket", "ListenStream")),
    ("nginx.conf.j2", "node_address", quoted(r"listen ([^\s;{}]+):80;")),
    ("rsyslog.conf.j2", "node_address", quoted(r' address="([^"]*)"')),
]


def is_refused(variable, value):
    hosts = {"cn1": {**RIGHT, variable: value}}
    found = _inventory.find(hosts, {"config_nodes": ["cn1"]}, dict.fromkeys(RIGHT, lambda _value: ""))
    return any(mistake.variable == variable for mistake in found)


@pytest.mark.parametrize(("template", "variable", "read"), READERS, ids=[f"{reader[0]}-{reader[1]}" for reader in READERS])
@given(data=st.data())
def test_a_value_is_refused_or_read_back(template, variable, read, data):
    right = RIGHT[variable]
    around = st.sampled_from(["", "\n", " ", ";", "}", '"', "'", "{{ 1 }}", "\\", "#", "\x00", "٣", "é"]) | st.text(max_size=4)
    value = data.draw(
        st.text()
        | st.tuples(around, st.just(right), around).map("".join)
        | st.ip_addresses(v=4).map(str)
        | st.integers(1, 999).map("{}M".format)
    )
    if is_refused(variable, value):
        return
    text, reference = render(template, {**RIGHT, variable: value}), render(template, RIGHT)
    (found,) = read(text)
    assert found == value
    same = [line for line in reference.splitlines() if right not in line]
    assert [line for line in text.splitlines() if line in same] == same
    assert len(text.splitlines()) == len(reference.splitlines())


@pytest.mark.parametrize("template", sorted({path.name for path in TEMPLATES.iterdir()} - {reader[0] for reader in READERS}))
def test_other_templates_take_nothing_from_an_inventory(template):
    assert not re.search(r"node_address|config_node_(?!state|served)", (TEMPLATES / template).read_text(encoding="utf-8"))
