"""A change from plan to evidence: resolve it, show it, have it approved, carry it out, keep what was done. `interlock.runner` says when one may begin."""
