"""A gate run: from site to required set (`run`), to record and evidence (`recording`), and one that trusts nobody (`call`)."""
