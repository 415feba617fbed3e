"""`interlock.yaml` to a frozen `Site`: models here, reading in `load`, guessing in `discover`, the waiver file in `waivers`."""
