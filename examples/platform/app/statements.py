"""What does each account stand at? Writes one statement per account below STATE_DIR/statements, once, or every `--every` seconds."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import psycopg
from server import state_directory

QUERY = "SELECT account, count(*), sum(amount) FROM entries GROUP BY account ORDER BY account"


def write_statements(database: str, folder: Path) -> int:
    """How many accounts there are, after each has its statement: written beside it and renamed, so that readers see the old one or the new one."""
    with psycopg.connect(database, connect_timeout=5, autocommit=True) as connection:
        rows = connection.execute(QUERY).fetchall()
    for account, entries, balance in rows:
        new = folder / f".{account}.json"
        new.write_text(json.dumps({"account": account, "entries": entries, "balance": int(balance)}) + "\n")
        new.rename(folder / f"{account}.json")
    return len(rows)


def main() -> None:
    """Write them, again and again when asked to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=0, metavar="SECONDS")
    every: int = parser.parse_args().every
    os.umask(0o077)
    folder = state_directory() / "statements"
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{write_statements(os.environ['DATABASE_URL'], folder)} statements", flush=True)
    while every:
        time.sleep(every)
        write_statements(os.environ["DATABASE_URL"], folder)


if __name__ == "__main__":
    main()
