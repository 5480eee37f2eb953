"""Faults chosen at random: a seed can be played again."""

from __future__ import annotations

from tests import soak
from tests.e2e.faults import FAULTS


def test_a_seed_chooses_the_same_faults_again():
    assert soak.chosen(20, "17") == soak.chosen(20, "17")
    assert soak.chosen(20, "17") != soak.chosen(20, "18")


def test_all_faults_are_chosen_sooner_or_later():
    assert set(soak.chosen(1000, "1")) == set(FAULTS)


def test_more_of_the_same_seed_begin_as_fewer_did():
    assert soak.chosen(20, "5")[:7] == soak.chosen(7, "5")


def test_what_a_fault_expects_names_the_machines_of_a_pair():
    for fault in FAULTS.values():
        assert {role for sequence in fault.servers for role in sequence} <= {"serving", "other"}
        assert {*fault.fenced, *fault.may_be_fenced} <= {"serving", "other", "cn1"}
