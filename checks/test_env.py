"""Variables: what the stack asks for, its instances give."""

from interlock.checking import assert_held, check
from interlock.facts.env import InstanceEnv
from interlock.judge import env


@check(env.COVERAGE)
def test_every_variable_without_a_default_is_given(instance_env: InstanceEnv) -> None:
    assert_held(env.judge_coverage(instance_env))
