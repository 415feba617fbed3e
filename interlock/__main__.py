"""`python -m interlock` is the console script `interlock`."""

from interlock.cli import entry

if __name__ == "__main__":
    entry()
