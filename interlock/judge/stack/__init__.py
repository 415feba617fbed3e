"""Do the services of a chain run as their files promise? The topics of the compose and mounts families that look at a resolved chain, one module each."""
