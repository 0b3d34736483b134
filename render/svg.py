"""A drawing as SVG: rectangles and text, nothing that has to be fetched."""

from html import escape

from render.drawing import WIDTH, Drawing, Rectangle, Text

_FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
_BASELINE, _SIZE = 12, 13


def svg(drawn: Drawing, title: str) -> str:
    """Return the text of an SVG file; `title` is what a screen reader says."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawn.width} {drawn.height}" width="{drawn.width}" '
        f'height="{drawn.height}" role="img" font-family="{escape(_FONTS)}" font-size="{_SIZE}">'
    )
    ground = Rectangle(0, 0, drawn.width, drawn.height, drawn.background)
    lines = [head, f"<title>{escape(_clean(title))}</title>"]
    lines += [_rectangle(each) for each in (ground, *drawn.rectangles)]
    lines += [_text(each) for each in drawn.texts]
    return "\n".join([*lines, "</svg>", ""])


def _rectangle(shape: Rectangle) -> str:
    place = f'x="{shape.x}" y="{shape.y}" width="{shape.width}" height="{shape.height}"'
    return f'<rect {place} fill="#{shape.color:06x}"/>'


def _text(text: Text) -> str:
    bold = ' font-weight="bold"' if text.bold else ""
    # A font that is wider or narrower is made to fit its cells.
    length = len(text.text) * WIDTH
    place = f'x="{text.x}" y="{text.y + _BASELINE}" textLength="{length}" lengthAdjust="spacingAndGlyphs"'
    return f'<text {place} fill="#{text.color:06x}"{bold}>{escape(_clean(text.text))}</text>'


def _clean(text: str) -> str:
    """Return a text without what XML has no way to say."""
    return "".join(character if character.isprintable() else "?" for character in text)
