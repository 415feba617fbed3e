"""The judgements of the backups family, by what they are about: privacy, the newest backup, what is in it, the module files, the notes.

`interlock.judge.backups` is the family's stem and names them all.
"""
