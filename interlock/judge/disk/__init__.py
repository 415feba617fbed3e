"""Are the disks where the stack and the site say, for the host and for its containers? The live topics of the mounts family, one module each."""
