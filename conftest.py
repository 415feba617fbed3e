"""What pytest needs in this repository: its gate runs look at the demo site when no other is named."""

from pathlib import Path

import pytest

from interlock.plugin import gates_named

HERE = Path(__file__).parent
DEMO_SITE = HERE / "examples" / "platform" / "run" / "interlock.yaml"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if not gates_named(config.option.markexpr or "") or config.getoption("--site") is not None or config.invocation_params.dir != HERE:
        return
    if not DEMO_SITE.exists():
        pytest.exit("interlock: the demo site is not laid out yet: run `make site`, or name another site with --site FILE", returncode=78)
    config.option.site = str(DEMO_SITE)
