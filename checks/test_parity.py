"""Parity: the copy is the original."""

from interlock.checking import assert_held, check
from interlock.facts.count_checks import CountChecks
from interlock.facts.key_registry import KeyLists
from interlock.facts.parity import DatabaseCopy
from interlock.judge import parity


@check(parity.INVENTORY)
def test_the_copy_has_everything_that_has_a_name(inventory: DatabaseCopy | KeyLists) -> None:
    assert_held(parity.judge_inventory(inventory))


@check(parity.ROWS)
def test_every_table_has_as_many_rows_in_the_copy(counted: DatabaseCopy | CountChecks) -> None:
    assert_held(parity.judge_rows(counted))
