"""How wide is a text, and how does it fit into a box? Letter by letter, in the widest of the usual fonts; `interlock.evidence.svg_shapes` draws it.

A sentence is wrapped at its blanks, a path behind a slash; what still does not fit is cut, and the mark says so.
"""

from __future__ import annotations

from interlock.evidence.visible import visible
from interlock.nouns import dataclass

_LEFT_OUT = "…"
_MOST = 4_000  # letters of a text that anybody looks at

# Advance widths of DejaVu Sans and DejaVu Sans Bold in thousandths of the size, from the blank to the tilde (their hmtx tables, in the order of ASCII).
# Segoe UI, San Francisco, Cantarell, Noto Sans and Inter are narrower in every letter of a name.
# fmt: off
_SANS = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838,
    531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390,
    838, 500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337,
    636, 838,
)
_BOLD = (
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365, 696, 696, 696, 696, 696, 696, 696, 696, 696, 696, 400, 400, 838, 838, 838,
    580, 1000, 774, 762, 734, 830, 683, 683, 821, 837, 372, 372, 775, 637, 995, 837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771, 724, 725, 457, 365, 457,
    838, 500, 500, 675, 716, 593, 716, 678, 435, 716, 712, 343, 343, 665, 343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712, 365,
    712, 838,
)
# fmt: on
_MONO = (602,) * len(_SANS)
_LATIN, _OTHER = 1200, 1600  # the widest letters of Latin with accents (below U+0180), and of all other scripts and pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A font in one size, in px."""

    size: float
    letters: tuple[int, ...]

    def width(self, text: str) -> float:
        """In px, at most."""
        return sum(map(self._letter, text)) * self.size / 1000

    def _letter(self, letter: str) -> int:
        code = ord(letter)
        if 0x20 <= code < 0x7F:
            return self.letters[code - 0x20]
        return 1000 if letter == _LEFT_OUT else _LATIN if code < 0x180 else _OTHER

    def fitting(self, text: str, room: float) -> str:
        """As much of the beginning of a text as fits."""
        left = room * 1000 / self.size
        for end, letter in enumerate(text):
            left -= self._letter(letter)
            if left < 0:
                return text[:end]
        return text


MONO, SANS = Face(size=12, letters=_MONO), Face(size=11.5, letters=_SANS)
BOLD, HEADING = Face(size=11.5, letters=_BOLD), Face(size=15, letters=_BOLD)


def cut(text: str, width: float, face: Face) -> str:
    """As much of a text as fits into a width; the middle is left out, for a path says most at its ends."""
    shown = visible(text[:_MOST])
    if face.width(shown) <= width:
        return shown
    room = width - face.width(_LEFT_OUT)
    head = face.fitting(shown, room / 2)
    tail = face.fitting(shown[::-1], room - face.width(head))[::-1]
    return f"{head}{_LEFT_OUT}{tail}"


def wrapped(text: str, width: float, face: Face, most: int) -> list[str]:
    """A sentence in at most `most` lines; a path is broken behind a slash, where that leaves no line half empty or the path is longer than a line."""
    lines = [""]
    for word in text[:_MOST].split(" "):
        _set(lines, word, width, face)
        if len(lines) > most:
            last = face.fitting(lines[most - 1], width - face.width(_LEFT_OUT))
            return [*lines[: most - 1], last + _LEFT_OUT]
    return lines


def _set(lines: list[str], word: str, width: float, face: Face) -> None:
    """One more word, on the last line and as many others as it needs."""
    blank, rest = " " if lines[-1] else "", word
    while rest:
        room = width - face.width(lines[-1] + blank)
        if face.width(rest) <= room:
            lines[-1] += blank + rest
            return
        whole = face.width(rest) <= width and room < width / 2
        start = "" if lines[-1] and whole else _start(rest, room, face, alone=not lines[-1])
        if start:
            lines[-1] += blank + start
            rest = rest[len(start) :]
        lines.append("")
        blank = ""


def _start(word: str, room: float, face: Face, *, alone: bool) -> str:
    """As much of a word as fits, ended where a name in it ends; `alone` on its line it is broken anywhere rather than not at all."""
    piece = face.fitting(word, room)
    least = max(3, len(piece) // 2) if alone else 3
    for separators in ("/", "._-:="):
        end = max(piece.rfind(separator) for separator in separators) + 1
        if end > least:
            return piece[:end]
    return (piece or word[:1]) if alone else ""
