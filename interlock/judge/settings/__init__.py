"""The judgements of the env family that need more than a list of names, by what they are about: who reads an env file, who writes it, who must have it.

`interlock.judge.env` is the family's stem and names them all.
"""
