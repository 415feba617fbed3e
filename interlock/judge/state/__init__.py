"""The rules of the state_dir family that have a module of their own."""
