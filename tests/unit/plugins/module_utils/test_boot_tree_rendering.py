from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _boot_tree, _identity, _names

XEN = "xen-0123456789abcdef"
STORAGE = "xen-fedcba9876543210"
PLAIN = {
    "name": "hn1",
    "role": "hardware",
    "mac": "52:54:00:00:00:01",
    "address": "",
    "image_kind": "xen",
    "image": "",
    "root": "ram",
    "dom0_memory": 1024,
    "storage_mac": "",
    "instance_mac": "",
    "bmc_mac": "",
    "authorized_keys": ["ssh-ed25519 AAAA root@admin"],
}
PERSONALITY = {
    "etc/hostname",
    "etc/hosts",
    "etc/machine-id",
    "etc/bareroot/network",
    "etc/bareroot/networks.nft",
    "etc/bareroot/node.json",
    "etc/ssh/bareroot_ca.pub",
    "etc/ssh/bareroot_known_hosts",
    "etc/ssh/bareroot_migration-cert.pub",
    "etc/ssh/bareroot_principals",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/ssh/ssh_host_ed25519_key.pub",
    "etc/ssh/ssh_host_ed25519_key-cert.pub",
    "etc/systemd/timesyncd.conf.d/bareroot.conf",
    "etc/systemd/journal-upload.conf.d/bareroot.conf",
    "root/.ssh/authorized_keys",
}
ACCESS = {"key", "key-cert.pub", "known_hosts", "nodes.json", "ssh_config"}


def digest(image, file):
    return hashlib.sha256(f"{image} {file}".encode()).hexdigest()


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    base = tmp_path_factory.mktemp("confignode")
    for name, files in ((XEN, ["root.squashfs", "vmlinuz", "initrd", "xen", "xen.efi"]), (STORAGE, ["root.squashfs", "vmlinuz", "initrd"])):
        (base / "images" / name).mkdir(parents=True)
        manifest = {"name": name, "files": {file: {"sha256": digest(name, file), "size": 1} for file in files}}
        (base / "images" / name / "manifest.json").write_text(json.dumps(manifest))
    (base / "images" / "current.json").write_text(json.dumps({"xen": XEN, "storage": STORAGE}))
    (base / "ca").write_text(_identity.new_host_key())
    return {
        "server": "10.0.0.1",
        "network": "10.0.0.0/24",
        "address_range": "",
        "storage_network": "10.1.0.0/24",
        "storage_mtu": 1500,
        "bmc_network": "10.3.0.0/24",
        "config_nodes": {"cn1": "10.0.0.1"},
        "token": 10000,
        "directory": str(base),
        "state_directory": str(base),
    }


def render(params, *nodes):
    nodes = [{**PLAIN, **node} for node in nodes]
    _boot_tree.check_nodes(nodes)
    return _boot_tree.BootTree({**params, "nodes": nodes}, check_mode=False).render()


def personality(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: tar.extractfile(entry).read().decode() for entry in tar.getmembers() if entry.isfile()}


def shape(script):
    """Say how many words each line has and what the first one is."""
    return [(line.split(" ")[0], len(line.split(" "))) for line in script.decode().split("\n")], len(script.decode().splitlines())


@pytest.mark.parametrize(
    ("node", "boot"),
    [
        pytest.param({}, {"52-54-00-00-00-01.ipxe", "52-54-00-00-00-01.cfg", "root-images.json"}, id="xen"),
        pytest.param({"image_kind": "storage"}, {"52-54-00-00-00-01.ipxe", "root-images.json"}, id="no-xen"),
    ],
)
def test_a_node_has_these_files(node, boot, params):
    files, _records = render(params, node)
    assert {directory: set(found) for directory, found in files.items()} == {
        "boot": boot,
        "personality": {"10.0.0.2.tar"},
        "dhcp": {"hosts"},
        "access": ACCESS,
        "cluster": set(),
    }
    assert set(personality(files["personality"]["10.0.0.2.tar"])) == PERSONALITY


@pytest.mark.parametrize(
    ("node", "image"),
    [
        pytest.param({}, XEN, id="newest"),
        pytest.param({"image_kind": "storage"}, STORAGE, id="newest-of-its-kind"),
        pytest.param({"image": STORAGE}, STORAGE, id="pinned"),
    ],
)
def test_a_node_boots_its_image_and_checks_the_root_of_that_image(node, image, params):
    files, _records = render(params, node)
    words = files["boot"]["52-54-00-00-00-01.ipxe"].decode().split()
    assert f"bareroot.image={image}" in words
    assert f"bareroot.digest={digest(image, 'root.squashfs')}" in words


def test_no_nodes_leave_an_empty_hosts_file_and_no_records_but_the_config_nodes_own(params):
    files, records = render(params)
    access, own = files.pop("access"), records.pop("access")
    assert files == {"boot": {"root-images.json": b"{}\n"}, "personality": {}, "dhcp": {"hosts": b""}, "cluster": {}}
    assert records == {"nodes": {}, "exports": {}, "halves": {}}
    assert set(access) == ACCESS
    assert access["nodes.json"] == b"{}\n"
    assert {name: access[name].decode() for name in ("key", "key-cert.pub", "known_hosts")} == {
        "key": own["key"],
        "key-cert.pub": f"{own['certificate']}\n",
        "known_hosts": f"@cert-authority * {own['ca']}\n",
    }


@pytest.mark.parametrize(
    ("storage_mac", "storage_network", "expected"),
    [
        pytest.param("52:54:00:00:01:01", "10.1.0.0/24", "10.1.0.2/24", id="card-and-network"),
        pytest.param("", "10.1.0.0/24", "", id="no-card"),
    ],
)
def test_a_storage_card_has_the_same_host_part(storage_mac, storage_network, expected, params):
    files, _records = render({**params, "storage_network": storage_network}, {"storage_mac": storage_mac})
    facts = json.loads(personality(files["personality"]["10.0.0.2.tar"])["etc/bareroot/node.json"])
    assert facts["storage_address"] == expected
    place = json.loads(files["access"]["nodes.json"])["hn1"]
    assert place == {"role": "hardware", "address": "10.0.0.2", "storage_address": expected.partition("/")[0] or "10.0.0.2"}


@pytest.mark.parametrize(
    ("storage_mac", "storage_network", "expected"),
    [
        pytest.param("52:54:00:00:01:01", "10.1.0.0/24", "10.0.0.0/24, 10.1.0.0/24", id="two"),
        pytest.param("52:54:00:00:01:01", "10.0.0.0/24", "10.0.0.0/24", id="equal"),
        pytest.param("", "", "10.0.0.0/24", id="no-card"),
    ],
)
def test_guests_are_kept_off_the_nodes_networks(storage_mac, storage_network, expected, params):
    files, _records = render({**params, "storage_network": storage_network}, {"storage_mac": storage_mac})
    text = personality(files["personality"]["10.0.0.2.tar"])["etc/bareroot/networks.nft"]
    assert text == f"define own_networks = {{ {expected} }}\n"


def test_each_node_has_its_own_identity(params):
    files, records = render(params, {}, {"name": "hn2", "mac": "52:54:00:00:00:02"})
    one, two = (personality(files["personality"][f"10.0.0.{host}.tar"]) for host in (2, 3))
    for path in ("etc/machine-id", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key-cert.pub"):
        assert one[path] != two[path]
    assert one["etc/ssh/ssh_host_ed25519_key"] == records["nodes"]["hn1"]["host_key"]
    assert two["etc/machine-id"] == f"{records['nodes']['hn2']['machine_id']}\n"


def hostile(*good):
    """Text that is right, nearly right, or anything."""
    near = st.builds("{}{}{}".format, st.text(max_size=2), st.sampled_from(good), st.text(max_size=2))
    escapes = st.sampled_from(["\n", "\r", "\u2028", "\x00", ",", " ", "/", "/../..", "${image}", "|| shell", "#", "\udc80", "-", "0"])
    return st.one_of(
        st.sampled_from(good),
        st.text(st.characters()),
        near,
        st.builds("{}{}".format, st.sampled_from(good), escapes),
        st.builds("{}{}".format, escapes, st.sampled_from(good)),
    )


GOOD = {
    "name": st.from_regex(_names.HOST, fullmatch=True),
    "mac": st.from_regex(_names.MAC, fullmatch=True),
    "image": st.sampled_from(["", XEN, STORAGE]),
    "storage_mac": st.just("") | st.from_regex(_names.MAC, fullmatch=True),
    "instance_mac": st.just("") | st.from_regex(_names.MAC, fullmatch=True),
    "bmc_mac": st.just("") | st.from_regex(_names.MAC, fullmatch=True),
    "authorized_keys": st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n")), max_size=2).map(
        lambda keys: [*keys, "ssh-ed25519 AAAA root@admin"]
    ),
}
MACS = ("mac", "storage_mac", "instance_mac", "bmc_mac")


def all_different(options):
    macs = [options[option] for option in MACS if options[option]]
    return len(set(macs)) == len(macs)


HOSTILE = {
    "name": hostile("hn1", "node-7"),
    "mac": hostile("52:54:00:12:34:56", "00:00:00:00:00:00"),
    "image": hostile(XEN, STORAGE),
    "storage_mac": hostile("52:54:00:12:34:56"),
    "instance_mac": hostile("52:54:00:12:34:56"),
    "bmc_mac": hostile("52:54:00:12:34:56"),
    "authorized_keys": st.lists(hostile("ssh-ed25519 AAAA root@admin"), min_size=1, max_size=3),
}


@given(st.fixed_dictionaries(GOOD).filter(all_different))
def test_what_is_right_is_read_back_equal_everywhere(params, options):
    check_rendering(params, options, *render(params, options))


@given(st.sampled_from(sorted(HOSTILE)).flatmap(lambda option: HOSTILE[option].map(lambda value: {option: value})))
def test_any_text_is_refused_or_read_back_equal_everywhere(params, options):
    try:
        rendered = render(params, options)
    except ValueError:
        return
    check_rendering(params, options, *rendered)


def check_rendering(params, options, files, records):
    node = {**PLAIN, **options}
    (address,) = records["nodes"][node["name"]]["addresses"]
    assert files["dhcp"]["hosts"].decode() == f"{','.join((node['mac'], address, node['name'], 'infinite'))}\n"
    assert len(files["dhcp"]["hosts"].decode().split(",")) == 4

    plain, _records = render(params, {"image": node["image"]})
    stem = node["mac"].replace(":", "-")
    assert set(files["boot"]) == {name.replace("52-54-00-00-00-01", stem) for name in plain["boot"]}
    for name, script in plain["boot"].items():
        assert shape(files["boot"][name.replace("52-54-00-00-00-01", stem)]) == shape(script)

    assert all("/" not in name and not name.startswith(".") for found in files.values() for name in found)
    inside = personality(files["personality"][f"{address}.tar"])
    assert set(inside) == PERSONALITY
    assert inside["etc/hostname"] == f"{node['name']}\n"
    assert inside["root/.ssh/authorized_keys"].split("\n") == [*(key.strip() for key in node["authorized_keys"]), ""]
    network = dict(line.split("=") for line in inside["etc/bareroot/network"].splitlines())
    assert (network["STORAGE_MAC"], network["BRIDGE_MAC"]) == (node["storage_mac"], node["instance_mac"])
    bmc_address = f"{address.replace('10.0.', '10.3.')}/24" if node["bmc_mac"] else ""
    assert (network["BMC_MAC"], network["BMC_ADDRESS"]) == (node["bmc_mac"], bmc_address)

    assert set(files["access"]) == ACCESS
    storage_address = address.replace("10.0.", "10.1.") if node["storage_mac"] else address
    places = {node["name"]: {"role": "hardware", "address": address, "storage_address": storage_address}}
    assert json.loads(files["access"]["nodes.json"]) == places
    ssh_config = files["access"]["ssh_config"].decode().splitlines()
    assert ssh_config[:3] == [f"Host {node['name']}", f"    HostName {address}", f"    HostKeyAlias {node['name']}"]
    assert ssh_config[3:] == plain["access"]["ssh_config"].decode().splitlines()[3:]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        pytest.param("name", "../hn1", id="name-parent"),
        pytest.param("name", "hn1\nhn2", id="name-line-break"),
        pytest.param("name", "hn1,infinite", id="name-comma"),
        pytest.param("name", "hn1 ${net0/mac}", id="name-ipxe-variable"),
        pytest.param("name", "", id="name-empty"),
        pytest.param("name", "1h", id="name-lease-time"),
        pytest.param("name", "7node", id="name-digit-first"),
        pytest.param("name", "localhost", id="name-localhost"),
        pytest.param("name", "confignode", id="name-confignode"),
        pytest.param("name", "infinite", id="name-infinite"),
        pytest.param("name", "ignore", id="name-ignore"),
        pytest.param("mac", "", id="mac-empty"),
        pytest.param("mac", "52:54:00:12:34:56,set:x", id="mac-comma"),
        pytest.param("mac", "52:54:00:12:34:56\n", id="mac-line-break"),
        pytest.param("storage_mac", "$(reboot)", id="storage-mac-shell"),
        pytest.param("instance_mac", "52:54:00:12:34:56;reboot", id="instance-mac-shell"),
        pytest.param("bmc_mac", "52:54:00:12:34:56\nVOLUMES=", id="bmc-mac-another-variable"),
        pytest.param("image", "../../etc", id="image-parent"),
        pytest.param("image", f"{XEN}/../{XEN}", id="image-roundabout"),
        pytest.param("image", f"{XEN} init=/bin/sh", id="image-kernel-argument"),
        pytest.param("authorized_keys", ["ssh-ed25519 A\nssh-ed25519 B"], id="two-keys-in-one"),
    ],
)
def test_what_would_break_out_is_refused_before_anything_is_read(option, value):
    with pytest.raises(_boot_tree.BadInputError):
        _boot_tree.check_nodes([{**PLAIN, option: value}])


@pytest.mark.parametrize("name", ["h1", "localhost1", "ignored", "node-1h"])
def test_names_that_only_look_like_reserved_ones_are_fine(name):
    _boot_tree.check_nodes([{**PLAIN, "name": name}])


CARD = "52:54:00:00:00:01"
OTHER_CARD = "52:54:00:00:00:02"


@pytest.mark.parametrize(
    ("first", "second"),
    [(one, other) for one in MACS for other in MACS if (one, other) != ("mac", "mac")] + [("mac", "mac")],
    ids=lambda option: option,
)
def test_a_mac_belongs_to_one_card_of_one_node(first, second):
    one = {**PLAIN, "mac": "52:54:00:00:09:01", first: CARD}
    other = {**PLAIN, "name": "hn2", "mac": "52:54:00:00:09:02", second: CARD}
    with pytest.raises(_boot_tree.BadInputError, match=f"^{second} {CARD} of hn2 belongs to hn1 already"):
        _boot_tree.check_nodes([one, other])
    _boot_tree.check_nodes([one, {**other, second: OTHER_CARD}])


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(MACS, 2)))
def test_a_card_has_one_role_in_its_node(first, second):
    node = {**PLAIN, "mac": "52:54:00:00:09:01", first: CARD, second: CARD}
    with pytest.raises(_boot_tree.BadInputError, match=f"^{second} {CARD} of hn1 belongs to hn1 already"):
        _boot_tree.check_nodes([node])
    _boot_tree.check_nodes([{**node, second: OTHER_CARD}])


def test_a_storage_card_needs_a_storage_network():
    node = {**PLAIN, "storage_mac": OTHER_CARD}
    with pytest.raises(_boot_tree.BadInputError, match=r"^hn1 has a storage_mac, but there is no storage_network, such as 10\.1\.0\.0/24"):
        _boot_tree.check_nodes([node], has_storage_network=False)
    _boot_tree.check_nodes([node], has_storage_network=True)


@pytest.mark.parametrize("memory", [0, 511])
def test_a_hardware_nodes_dom0_needs_memory(memory):
    with pytest.raises(_boot_tree.BadInputError, match=rf"^dom0_memory {memory} of hn1: give dom0 at least 512 MiB, such as 1024"):
        _boot_tree.check_nodes([{**PLAIN, "dom0_memory": memory}])
    storage_node = {**PLAIN, "name": "sn1", "role": "storage", "mac": OTHER_CARD, "dom0_memory": memory}
    _boot_tree.check_nodes([{**PLAIN, "dom0_memory": 512}, storage_node])
