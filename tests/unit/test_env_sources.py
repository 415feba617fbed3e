"""What a new installation is given: by examples, by the scripts that write its env file, by workflows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.env_sources import keys_of_example, keys_of_script, keys_of_workflow

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)


def test_an_example_gives_its_keys_those_that_are_commented_out_too() -> None:
    assert keys_of_example("# the port\nPORT=80\nexport HOST = x\n#TOKEN=\n# see: docs\n\nEMPTY=\n") == {"PORT", "HOST", "TOKEN", "see", "EMPTY"}


@pytest.mark.parametrize(
    "script",
    [
        "cat << EOF > app.conf\nA=$A\n#B=\nEOF\n",
        "cat <<-'EOF' >.env\n\tA=1\n\tB=2\n\tEOF\n",
        'tee .env <<"EOF"\nA=1\nB=2\nEOF\necho done\n',
        'echo "A=1" > .env\necho "B=$B" >> .env\n',
        'printf "A=%s\\n" "$A" >"$DIR/app.env"\nprintf \'B=2\\n\' >>"$DIR/app.env"\n',
        '{\n  echo "A=1"\n  echo "B=2"\n} > .env\n',
    ],
)
def test_a_script_gives_the_keys_of_the_files_that_it_writes_anew(script: str) -> None:
    assert keys_of_script(script) == {"A", "B"}


@pytest.mark.parametrize(
    "script",
    [
        "A=1\nexport B=2\n",
        'grep -q A= .env || echo "A=1" >> .env\n',
        'echo "A=1"\n',
        "# A=1\n",
        "cat <<EOF\nhello\nEOF\nA=1\n",
    ],
)
def test_what_a_script_sets_for_itself_or_adds_to_an_old_file_reaches_no_new_installation(script: str) -> None:
    assert keys_of_script(script) == frozenset()


def test_a_workflow_gives_its_steps_names_in_capitals() -> None:
    assert keys_of_workflow("env:\n  DOMAIN: ${{ secrets.DOMAIN }}\n  lower: x\nON: push\n") == {"DOMAIN"}


@given(st.lists(NAMES, max_size=6, unique=True))
def test_what_is_written_is_read_back(names: list[str]) -> None:
    lines = "".join(f"{name}=x\n" for name in names)
    assert keys_of_example(lines) == set(names)
    assert keys_of_script(f"cat > .env <<END\n{lines}END\nOTHER=1\n") == set(names)


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    for names in (keys_of_example(text), keys_of_script(text), keys_of_workflow(text)):
        assert all(names)
