"""What builds, shows and measures the project; none of it is shipped."""
