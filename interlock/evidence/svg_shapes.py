"""How do boxes, lines and words become SVG? What every picture of ours is made of: boxes in columns, and the lines between two columns.

`interlock.evidence.svg_text` fits the texts. Lines run from a box in a lane of their own and turn off at right angles, so that twelve users of two
things are two lanes and not twenty-four slanting lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from html import escape
from typing import NamedTuple, assert_never

from interlock.evidence.svg_text import BOLD, MONO, SANS, cut
from interlock.evidence.visible import visible
from interlock.nouns import dataclass

WIDTH = 1200  # of a picture, in px
LINE, GAP, PAD, PORT = 16, 12, 9, 14  # the last: how far below its top a path is met by its line
_APART = 9  # between two lines that have nothing to do with each other

STYLE = """
.il-topology{--bg:#fff;--fg:#1b1f24;--dim:#57606a;--box:#f6f8fa;--rim:#8c959f;--line:#57606a;--bad:#b3121d;--bad-box:#fff1f0;--odd:#7a4d00;\
--odd-box:#fff8e5}
@media screen and (prefers-color-scheme:dark){.il-topology{--bg:#0f1318;--fg:#e6edf3;--dim:#a3adb8;--box:#1a2027;--rim:#6e7781;--line:#9aa4af;\
--bad:#ff7b72;--bad-box:#3a1518;--odd:#e3b341;--odd-box:#2d2410}}
.il-topology text{font:11.5px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;fill:var(--fg)}
.il-topology .name{font:600 12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.il-topology .host{font-size:15px;font-weight:700}
.il-topology .head{font-weight:700;fill:var(--dim)}
.il-topology .dim{fill:var(--dim)}
.il-topology .bad{fill:var(--bad);font-weight:700}
.il-topology .odd{fill:var(--odd);font-weight:700}
.il-topology .paper{fill:var(--bg)}
.il-topology rect.box{fill:var(--box);stroke:var(--rim);stroke-width:1.2}
.il-topology rect.planned{stroke-dasharray:1.5 3}
.il-topology rect.broken{fill:var(--bad-box);stroke:var(--bad);stroke-width:3.2}
.il-topology rect.unproven{fill:var(--odd-box);stroke:var(--odd);stroke-width:2;stroke-dasharray:2 4}
.il-topology rect.waived{fill:var(--odd-box);stroke:var(--odd);stroke-width:2.4;stroke-dasharray:11 4 2 4}
.il-topology path{fill:none;stroke:var(--line);stroke-width:1.6}
.il-topology path.halo{stroke:var(--bg);stroke-width:6;stroke-dasharray:none}
.il-topology path.not-judged{stroke-width:1.1}
.il-topology path.planned{stroke-dasharray:1.5 4}
.il-topology path.unproven{stroke:var(--odd);stroke-width:2.2;stroke-dasharray:2 5}
.il-topology path.waived{stroke:var(--odd);stroke-width:2.6;stroke-dasharray:11 4 2 4}
.il-topology path.broken{stroke:var(--bad);stroke-width:4}
.il-topology path.missing{stroke:var(--bad);stroke-width:3.2;stroke-dasharray:8 5}
.il-topology path.cross{stroke:var(--bad);stroke-width:3.6}
.il-topology path.tick{stroke:var(--fg);stroke-width:2}
.il-topology circle{fill:var(--line)}
.il-topology circle.broken,.il-topology circle.missing{fill:var(--bad)}
.il-topology circle.unproven,.il-topology circle.waived{fill:var(--odd)}
"""


class Tone(IntEnum):
    """How a thing is drawn; the larger wins where several apply."""

    PLANNED = 0  # nobody looked: it does not run, or its view was not asked for
    NOT_JUDGED = 1  # it was looked at, and no verdict is about it
    HELD = 2
    WAIVED = 3
    UNPROVEN = 4
    BROKEN = 5
    MISSING = 6  # a line that should be there and is not

    @property
    def css(self) -> str:
        """`not-judged`."""
        return self.name.lower().replace("_", "-")


class Text(NamedTuple):
    """A line of text and its class: `name`, `dim`, `bad`, `odd`, or none."""

    css: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A box with its lines of text. `title` is all of it, uncut."""

    x: int
    y: int
    width: int
    height: int
    tone: Tone
    lines: tuple[Text, ...]
    title: str

    @property
    def middle(self) -> int:
        """Where a line meets it."""
        return self.y + self.height // 2

    @property
    def right(self) -> int:
        return self.x + self.width


class Wire(NamedTuple):
    """One line from a box of one column to a place in the next."""

    source: int
    tone: Tone
    to_y: int
    title: str


def safe(text: str) -> str:
    """Somebody else's text, as it may stand in SVG: at most 4,000 letters of it."""
    return escape(visible(text[:4000]), quote=False)


def text_svg(x: int, y: int, css: str, said: str) -> str:
    """One line of text that fits already."""
    return f'<text x="{x}" y="{y}"{f" class={css!r}".replace(chr(39), chr(34)) if css else ""}>{safe(said)}</text>'


def boxed(column: tuple[int, int], y: int, tone: Tone, lines: Iterable[Text], title: str) -> Shape:
    """A box as high as its lines, each cut to its width; the mark of its tone takes room from the first."""
    fitted = []
    for number, line in enumerate(lines):
        room = column[1] - 2 * PAD - (18 if number == 0 else 0)
        face = MONO if line.css == "name" else BOLD if line.css in ("bad", "odd") else SANS
        fitted.append(Text(line.css, cut(line.said, room, face)))
    return Shape(x=column[0], y=y, width=column[1], height=len(fitted) * LINE + 11, tone=tone, lines=tuple(fitted), title=title)


def box_svg(shape: Shape, kind: str) -> str:
    """A box with its texts and its mark; `kind` is its class, and a screen reader reads its title."""
    texts = "".join(text_svg(shape.x + PAD, shape.y + 18 + number * LINE, line.css, line.said) for number, line in enumerate(shape.lines))
    return (
        f'<g role="graphics-symbol img" class="{kind}"><title>{safe(shape.title)}</title>'
        f'<rect class="box {shape.tone.css}" x="{shape.x}" y="{shape.y}" width="{shape.width}" height="{shape.height}" rx="5"/>{texts}{_mark(shape)}</g>'
    )


def _mark(shape: Shape) -> str:
    """A tick, a cross or a question mark in the corner: what a colour says, without it."""
    x, y = shape.right - 20, shape.y + 8
    match shape.tone:
        case Tone.HELD:
            return f'<path class="tick" d="M{x} {y + 6}l4 4l7 -9"/>'
        case Tone.BROKEN | Tone.MISSING:
            return f'<path class="cross" d="M{x} {y}l10 10M{x + 10} {y}l-10 10"/>'
        case Tone.UNPROVEN:
            return text_svg(x + 2, y + 10, "odd", "?")
        case Tone.WAIVED:
            return text_svg(x, y + 10, "odd", "W")
        case Tone.NOT_JUDGED | Tone.PLANNED:
            return ""
        case _:
            assert_never(shape.tone)


_Key = tuple[int, Tone]  # of a bundle: its source, and how it is drawn


def wires_svg(sources: Sequence[Shape], to_x: int, wires: Sequence[Wire]) -> list[str]:
    """The lines between two columns: those of one source and tone share a lane, lower sources have theirs further left, so that few cross; red lies on top."""
    bundles: dict[_Key, list[Wire]] = {}
    for wire in wires:
        bundles.setdefault((wire.source, wire.tone), []).append(wire)
    lanes = sorted(bundles, key=lambda key: (-sources[key[0]].middle, key[0], key[1]))
    starts = _starts(sources, bundles)
    left = max((shape.right for shape in sources), default=0)
    room = to_x - left - 34
    pieces: list[str] = []
    for key in sorted(bundles, key=lambda key: (key[1], lanes.index(key))):
        lane = left + 10 + (lanes.index(key) + 1) * room // (len(lanes) + 1)
        pieces += _bundle(sources[key[0]].right, starts[key], lane, to_x, bundles[key])
    return pieces


def _starts(sources: Sequence[Shape], bundles: Mapping[_Key, Sequence[Wire]]) -> dict[_Key, int]:
    """Where each bundle leaves its box: straight on to one of its ends where it can, and never so close to another line that the two look like one."""
    starts: dict[_Key, int] = {}
    for key in sorted(bundles, key=lambda key: (-key[1], key[0])):  # the grave ones choose first
        shape, own = sources[key[0]], {wire.to_y for wire in bundles[key]}
        others = {wire.to_y for other, wires in bundles.items() if other != key for wire in wires} | set(starts.values())
        places = sorted(range(shape.y + 7, shape.y + shape.height - 6), key=lambda y: (y not in own, abs(y - shape.middle), y))
        starts[key] = max(places, key=lambda y: min((min(abs(y - other), _APART) for other in others), default=_APART))
    return starts


def _bundle(x: int, y: int, lane: int, to_x: int, wires: Sequence[Wire]) -> list[str]:
    """All lines of one source and tone: out into the lane, along it, and off to each end."""
    tone = wires[0].tone
    css = tone.css
    ends = sorted({wire.to_y for wire in wires})
    stop = to_x - 16 if tone is Tone.MISSING else to_x
    trunk = f"M{x} {y}H{lane}" + (f"M{lane} {min(y, ends[0])}V{max(y, ends[-1])}" if (ends[0], ends[-1]) != (y, y) else "")
    branches = "".join(f"M{lane} {end}H{stop}" for end in ends)
    title = "; ".join(wire.title for wire in wires)
    pieces = [
        f'<path class="halo" d="{trunk}{branches}"/>',
        f'<g role="graphics-symbol img" class="line"><title>{safe(title)}</title><path class="{css}" d="{trunk}{branches}"/>',
    ]
    pieces += [f'<circle class="{css}" cx="{lane}" cy="{end}" r="3"/>' for end in ends if end not in (y,) or len(ends) > 1]
    if tone is Tone.MISSING:
        pieces += [f'<path class="cross" d="M{stop} {end - 6}l12 12M{stop + 12} {end - 6}l-12 12"/>' for end in ends]
    return ["".join([*pieces, "</g>"])]


def joint_svg(box: Shape, path: Shape) -> str:
    """From a container to a path in it."""
    y = path.y + PORT
    return f'<path class="{path.tone.css}" d="M{box.right} {y}H{path.x}"/>'


_LEGEND = (
    (Tone.HELD, "held", 110),
    (Tone.NOT_JUDGED, "seen, not judged", 165),
    (Tone.PLANNED, "not looked into", 170),
    (Tone.BROKEN, "broken: what is there", 190),
    (Tone.MISSING, "broken: what should be", 210),
    (Tone.UNPROVEN, "unproven", 120),
    (Tone.WAIVED, "broken, but waived", 180),
)


def legend_svg(body: list[str], x: int, y: int) -> int:
    """Say below a picture what the kinds of lines mean; returns where it ends."""
    for tone, said, width in _LEGEND:
        cross = f'<path class="cross" d="M{x + 30} {y - 6}l12 12M{x + 42} {y - 6}l-12 12"/>' if tone is Tone.MISSING else ""
        body.append(f'<g class="legend"><path class="{tone.css}" d="M{x} {y}H{x + 34}"/>{cross}{text_svg(x + 48, y + 4, "dim", said)}</g>')
        x += width
    return y + 24
