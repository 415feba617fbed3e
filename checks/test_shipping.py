"""Shipping: what a host needs reaches it, and is what the tree says."""

from interlock.checking import assert_held, check
from interlock.facts.copies import Twins
from interlock.facts.releases import Releases
from interlock.facts.shipping import Deliveries
from interlock.judge import shipping


@check(shipping.COMPLETENESS)
def test_what_a_delivered_file_names_is_delivered_with_it(deliveries: Deliveries) -> None:
    assert_held(shipping.judge_completeness(deliveries))


@check(shipping.FLEET_FILES_IN_SYNC)
def test_copies_are_what_they_are_a_copy_of(twins: Twins) -> None:
    assert_held(shipping.judge_in_sync(twins))


@check(shipping.CALVER_COUNTER)
def test_a_release_number_is_given_once(releases: Releases) -> None:
    assert_held(shipping.judge_counter(releases))
