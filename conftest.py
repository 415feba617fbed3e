"""What pytest needs in this repository: its gate runs look at the demo site when no other is named."""

from pathlib import Path

import pytest

DEMO_SITE = Path(__file__).parent / "examples" / "platform" / "run" / "interlock.yaml"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--site", None) is None and config.invocation_params.dir == Path(__file__).parent and DEMO_SITE.exists():
        config.option.site = str(DEMO_SITE)
