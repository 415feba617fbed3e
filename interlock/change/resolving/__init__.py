"""What does each kind of step come to, on this system, now? One module a kind; `steps` knows which."""
