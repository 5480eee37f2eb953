from __future__ import annotations

import pytest

from plugins.module_utils import _names


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        pytest.param(_names.HOST, "hn1", True, id="host"),
        pytest.param(_names.HOST, "a", True, id="host-one-letter"),
        pytest.param(_names.HOST, "rack-1-node-2", True, id="host-hyphens"),
        pytest.param(_names.HOST, "a" * 63, True, id="host-longest"),
        pytest.param(_names.HOST, "a" * 64, False, id="host-too-long"),
        pytest.param(_names.HOST, "", False, id="host-empty"),
        pytest.param(_names.HOST, "HN1", False, id="host-capitals"),
        pytest.param(_names.HOST, "1h", False, id="host-lease-time"),
        pytest.param(_names.HOST, "1hn", False, id="host-digit-first"),
        pytest.param(_names.HOST, "-hn1", False, id="host-hyphen-first"),
        pytest.param(_names.HOST, "hn1-", False, id="host-hyphen-last"),
        pytest.param(_names.HOST, "hn1\n", False, id="host-line-break"),
        pytest.param(_names.HOST, "hn1.example", False, id="host-dot"),
        pytest.param(_names.HOST, "hn,1", False, id="host-comma"),
        pytest.param(_names.HOST, "hn\u0661", False, id="host-arabic-digit"),
        pytest.param(_names.HOST, None, False, id="host-none"),
        pytest.param(_names.HOST, 1, False, id="host-number"),
        pytest.param(_names.MAC, "52:54:00:12:34:5f", True, id="mac"),
        pytest.param(_names.MAC, "52:54:00:12:34:5F", False, id="mac-capitals"),
        pytest.param(_names.MAC, "52-54-00-12-34-5f", False, id="mac-hyphens"),
        pytest.param(_names.MAC, "52:54:00:12:34", False, id="mac-short"),
        pytest.param(_names.MAC, "52:54:00:12:34:5f:00", False, id="mac-long"),
        pytest.param(_names.MAC, "52:54:00:12:34:5f\n", False, id="mac-line-break"),
        pytest.param(_names.IMAGE, "xen-0123456789abcdef", True, id="image"),
        pytest.param(_names.IMAGE, "xen-0123456789abcde", False, id="image-short"),
        pytest.param(_names.IMAGE, "../xen-0123456789abcdef", False, id="image-parent"),
        pytest.param(_names.IMAGE, "xen-0123456789abcdef/x", False, id="image-slash"),
        pytest.param(_names.IMAGE, ".building-0123456789abcdef", False, id="image-unfinished"),
        pytest.param(_names.KIND, "xen", True, id="kind"),
        pytest.param(_names.KIND, "", False, id="kind-empty"),
        pytest.param(_names.KIND, "Xen", False, id="kind-capitals"),
        pytest.param(_names.KIND, "xen-2", False, id="kind-hyphen"),
        pytest.param(_names.KIND, "../xen", False, id="kind-parent"),
        pytest.param(_names.KIND, "xen\n", False, id="kind-line-break"),
    ],
)
def test_a_pattern_fits_the_whole_value_or_not_at_all(pattern, value, fits):
    assert _names.matches(pattern, value) is fits


@pytest.mark.parametrize(
    "written", ["52:54:00:AB:cd:01", "52-54-00-ab-cd-01", " 52:54:00:ab:cd:01\n"], ids=["capitals", "hyphens", "spaces"]
)
def test_every_way_to_write_a_mac_becomes_the_same(written):
    assert _names.normal_mac(written) == "52:54:00:ab:cd:01"
