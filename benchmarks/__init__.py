"""How fast is it, against tools that do the same work? One module a question; `python -m benchmarks` runs all of them, `make bench-setup` fetches the peers."""
