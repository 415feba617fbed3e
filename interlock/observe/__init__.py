"""What does the world look like? Reads it and never changes it; `hosts` looks at every host in one round trip, `tree` at the files of a site.

world.py          one World a run, and which looks a guardrail needs
hosts.py          the looks of all hosts at once: in process here, through a `conversation` elsewhere
probe.py probe.sh the probe itself, in Python and for hosts without it; `reply` and `shell_reply` read what they say, `wire` is its JSON
files.py tree.py  walks of this machine; files of the site's tree
facts_file.py     facts kept in a file, and replayed
<family>.py       which looks a family needs, and how their answers become its nouns
"""
