"""`interlock.yaml` to a frozen `Site`: nouns in `models`, reading in `load`, guessing in `discover`, the waiver file in `waivers`, positions in `yamltext`."""
