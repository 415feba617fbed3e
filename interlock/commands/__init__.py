"""What single commands do: scan, status, report, doctor, selftest, the catalogue as text. `interlock.cli` calls them."""
