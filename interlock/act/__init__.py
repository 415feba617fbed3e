"""What changes the world: backups, files, commands, and the runner's own books (lock, journal). What touches the system takes a `Clearance`."""
