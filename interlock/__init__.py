"""interlock: nothing risky moves until every guard is closed."""

__version__ = "0.1.0"
