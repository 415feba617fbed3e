"""Nouns and the parsers of their text. Pure: nothing here touches a file, a clock or a network; `interlock.observe` brings the bytes."""
