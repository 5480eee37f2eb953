from __future__ import annotations

import copy
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plugins.module_utils import _xen_host
from plugins.module_utils._xen_host import Domain, Host

# As Xen 4.20 writes them.
INFO = """
host                   : hn1
version                : #1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-11-12)
nr_cpus                : 1
hw_caps                : 078bf3fd:80802001:20100800:00000065:00000000:00000000:00000000:00000000
virt_caps              : pv hvm hap gnttab-v1 gnttab-v2
free_memory            : 488
xen_version            : 4.20.5-pre
xen_caps               : xen-3.0-x86_64 hvm-3.0-x86_32 \n""".removeprefix("\n")
HEADING = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"
DOM0 = "Domain-0                                     0  1024     1     r-----      68.5\n"
WEB1 = "web1                                         1   256     1     -b----      25.9\n"
DOM0_LONG = {"domid": 0, "config": {"c_info": {"type": "pv", "name": "Domain-0"}, "b_info": {"max_vcpus": 1}}}
WEB1_LONG = {
    "domid": 1,
    "config": {
        "c_info": {"type": "pvh", "name": "web1", "uuid": "6d4e9d54-0000-4000-8000-000000000001"},
        "b_info": {"max_vcpus": 1, "max_memkb": 262144},
        "disks": [
            {"pdev_path": "/dev/etherd/e1.0", "vdev": "xvda", "format": "raw", "readwrite": 1},
            {"pdev_path": "/dev/etherd/e1.1", "vdev": "xvdb", "format": "raw"},
        ],
        "nics": [{"devid": 0, "mac": "00:16:3e:00:00:01", "bridge": "xenbr0"}],
    },
}
BARE = Host(
    name="hn1",
    xen_version="4.20.5-pre",
    cpu="078bf3fd:80802001:20100800:00000065:00000000:00000000:00000000:00000000",
    virtualization=frozenset({"pv", "hvm", "hap", "gnttab-v1", "gnttab-v2"}),
    free_memory=488,
    cpus=1,
)
WEB1_READ = Domain(
    name="web1",
    number=1,
    memory=256,
    vcpus=1,
    state="-b----",
    type="pvh",
    uuid="6d4e9d54-0000-4000-8000-000000000001",
    mac="00:16:3e:00:00:01",
    bridges=("xenbr0",),
    volumes=("1.0", "1.1"),
)
VOLUMES = "1.0 2097152 up\n1.1 8192 up\n"


def inspection(domains=HEADING + DOM0 + WEB1, long=(DOM0_LONG, WEB1_LONG), volumes=VOLUMES, bridges="xenbr0\n", migrations=""):
    """Return what `inspect` prints on hn1."""
    return (
        f"== host\n{INFO}== domains\n{domains}== configurations\n{json.dumps(long, indent=4)}\n"
        f"== volumes\n{volumes}== bridges\n{bridges}== migrations\n{migrations}"
    )


def read(*arguments, **options):
    return _xen_host.parse_inspection("hn1", inspection(*arguments, **options))


def test_a_host_with_a_guest_is_read():
    host = read(migrations="web1\n")
    assert host == Host(
        **{
            **vars(BARE),
            "domains": {"web1": WEB1_READ},
            "volumes": {"1.0": 1 << 30, "1.1": 4 << 20},
            "bridges": frozenset({"xenbr0"}),
            "migrations": frozenset({"web1"}),
        }
    )


def test_a_host_without_guests_volumes_and_bridges_is_read():
    assert read(HEADING + DOM0, [DOM0_LONG], volumes="", bridges="") == BARE


@pytest.mark.parametrize(
    ("state", "size"), [("up", 4096), ("up,kickme", 4096), ("down", 0), ("down,closewait", 0)], ids=["up", "kicked", "down", "closing"]
)
def test_a_volume_that_does_not_answer_has_no_size(state, size):
    assert read(volumes=f"3.12 8 {state}\n").volumes == {"3.12": size}


def test_a_guest_without_a_description_is_read_all_the_same():
    assert read(long=[DOM0_LONG]).domains == {"web1": Domain("web1", 1, 256, 1, "-b----")}


def test_disks_and_devices_of_one_host_are_told_from_volumes():
    long = copy.deepcopy(WEB1_LONG)
    long["config"]["disks"] += [{"pdev_path": "/dev/sda", "vdev": "xvdc"}, {"vdev": "xvdd"}]
    long["config"]["pcidevs"] = [{"dev": 1}, {"dev": 2}]
    domain = read(long=[DOM0_LONG, long]).domains["web1"]
    assert (domain.volumes, domain.other_disks, domain.devices) == (("1.0", "1.1"), ("/dev/sda", ""), 2)


@pytest.mark.parametrize(
    ("state", "paused", "down"),
    [
        ("r-----", False, False),
        ("-b----", False, False),
        ("------", False, False),
        ("--p---", True, False),
        ("---s--", False, True),
        ("---sc-", False, True),
        ("-----d", False, True),
        ("--ps--", True, True),
    ],
)
def test_states_as_xl_writes_them(state, paused, down):
    domain = Domain("web1", 1, 256, 1, state)
    assert (domain.is_paused, domain.is_down) == (paused, down)


def test_which_domains_are_there_is_read_without_what_they_consist_of():
    host = _xen_host.parse_domains("hn1", f"== domains\n{HEADING}{DOM0}{WEB1}== migrations\nweb1\n")
    assert (host.name, host.migrations) == ("hn1", {"web1"})
    assert {name: (domain.memory, domain.state) for name, domain in host.domains.items()} == {"web1": (256, read().domains["web1"].state)}


@pytest.mark.parametrize("text", ["", "Linux hn1 6.12\n", f"== domains\n{HEADING}{WEB1}== migrations\n", f"== domains\n{HEADING}{DOM0}"])
def test_what_does_not_say_which_domains_are_there_is_refused(text):
    assert refused(text, _xen_host.parse_domains)


def refused(text, parse=_xen_host.parse_inspection):
    """Whether it is refused, as it must be."""
    try:
        parse("hn1", text)
    except ValueError as error:
        reason = str(error)
    else:
        return False
    assert reason.startswith("hn1 does not say what a Xen host of bareroot says (")
    assert reason.endswith("): does it run its newest image?")
    return True


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("Linux hn1 6.12\n", id="other"),
        pytest.param("== host\n== domains\n== configurations\n== volumes\n== bridges\n== migrations\n", id="no-xen"),
        pytest.param(inspection(long=5), id="number"),
        pytest.param(inspection(long=None), id="null"),
        pytest.param(inspection(long=[DOM0_LONG, {"domid": 1}]), id="guest-without-configuration"),
        pytest.param(inspection(HEADING + DOM0 + "web1 1\n"), id="short-line"),
        pytest.param(inspection(volumes="e1.0 x up\n"), id="no-size"),
        pytest.param(inspection().replace("free_memory            : 488", "free_memory            : much"), id="no-number"),
    ],
)
def test_what_is_no_inspection_is_refused(text):
    assert refused(text)


def test_a_list_that_lacks_even_dom0_is_not_a_host_without_guests():
    # xl list has failed: what runs there is unknown, and would be started a second time elsewhere.
    assert refused(inspection(domains=""))


def test_text_that_ends_early_is_refused_or_tells_of_all_guests_and_volumes():
    text, whole = inspection(migrations="web1\n"), read()
    for end in range(len(text)):
        if not refused(text[:end]):
            host = _xen_host.parse_inspection("hn1", text[:end])
            assert (host.domains, host.volumes, host.bridges) == (whole.domains, whole.volumes, whole.bridges)


LINES = inspection().splitlines(keepends=True)


@given(st.text() | st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=20).map("{}\n".format)), max_size=60).map("".join))
def test_any_text_is_read_or_refused(text):
    refused(text)


@given(st.integers(0, len(LINES) - 1), st.text(max_size=20))
def test_any_line_may_be_something_else(number, line):
    refused("".join([*LINES[:number], f"{line}\n", *LINES[number + 1 :]]))


def places(value, path=()):
    """Yield the way to each value within a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from([path for path in places([DOM0_LONG, WEB1_LONG]) if path]), JSON)
@example((1, "config", "disks"), [5])
@example((1, "config", "nics"), ["x"])
@example((1, "config", "c_info"), [])
@example((1, "config", "disks", 0, "pdev_path"), None)
def test_any_part_of_a_guests_description_may_be_something_else(path, value):
    long = copy.deepcopy([DOM0_LONG, WEB1_LONG])
    *way, last = path
    part = long
    for key in way:
        part = part[key]
    part[last] = value
    refused(inspection(long=long))


INSTANCE = {
    "name": "web1",
    "uuid": "6d4e9d54-0000-4000-8000-000000000001",
    "memory": 256,
    "vcpus": 1,
    "mac": "00:16:3e:00:00:01",
    "bridge": "xenbr0",
    "volumes": ["1.0", "1.1"],
}


def settings(text):
    """Read xl's description of a domain: a value a line."""
    assert text.endswith("\n")
    pairs = [line.split(" = ", 1) for line in text.splitlines()]
    return {key: json.loads(value) for key, value in pairs}


def test_a_configuration_says_what_the_instance_has():
    assert settings(_xen_host.configuration(INSTANCE)) == {
        "name": "web1",
        "type": "pvh",
        "uuid": "6d4e9d54-0000-4000-8000-000000000001",
        "memory": 256,
        "vcpus": 1,
        "kernel": "/usr/lib/grub-xen/grub-i386-xen_pvh.bin",
        "disk": [
            "format=raw,vdev=xvda,access=w,script=bareroot-block,target=volume:1.0",
            "format=raw,vdev=xvdb,access=r,script=bareroot-block,target=volume:1.1",
        ],
        "vif": ["mac=00:16:3e:00:00:01,bridge=xenbr0,script=bareroot-vif"],
        "on_reboot": "restart",
        "on_crash": "restart",
    }


def test_an_instance_may_lack_a_seed_volume():
    (disk,) = settings(_xen_host.configuration({**INSTANCE, "volumes": ["9.254"]}))["disk"]
    assert disk == "format=raw,vdev=xvda,access=w,script=bareroot-block,target=volume:9.254"


TEXT = st.text(max_size=20)


@given(st.fixed_dictionaries({"name": TEXT, "uuid": TEXT, "mac": TEXT, "bridge": TEXT, "volumes": st.lists(TEXT, max_size=2)}))
@example({"name": 'a"\nb = "c', "uuid": "\u2028", "mac": "\x85", "bridge": "\x1c", "volumes": ["'\r\n", "\\"]})
def test_no_value_gets_out_of_its_line(given_values):
    instance = {**INSTANCE, **given_values}
    text = _xen_host.configuration(instance)
    found = settings(text)
    assert list(found) == list(settings(_xen_host.configuration(INSTANCE)))
    assert len(text.splitlines()) == len(found)
    assert (found["name"], found["uuid"]) == (instance["name"], instance["uuid"])
    assert [disk.split("target=volume:", 1)[1] for disk in found["disk"]] == instance["volumes"]
    assert found["vif"] == [f"mac={instance['mac']},bridge={instance['bridge']},script=bareroot-vif"]
