"""The frame of a report: one file, light and dark, on screen and on paper."""

from collections.abc import Sequence
from html import escape

from rtdecode.palette import CLASS_COLOURS

_LIGHT = """--ground:#f7f7f5;--card:#fff;--text:#1b1f26;--quiet:#5f6977;--line:#e2e4e8;
--field:#f3f4f5;--good:#1a7f4b;--bad:#b3402a;--mid:#8a6a10;--block:#c8642a"""
_DARK = """--ground:#0f1216;--card:#171b21;--text:#e7eaee;--quiet:#98a4b3;--line:#2a3038;
--field:#1d222a;--good:#4fc48a;--bad:#f08a6e;--mid:#e0c060;--block:#f0985f"""
_CLASSES = ";".join(f"--c{number}:{value}" for number, value in enumerate(CLASS_COLOURS))
_LINES = "".join(
    f".stroke{number}{{stroke:var(--c{number})}}.fill{number}{{fill:var(--c{number})}}"
    for number in range(len(CLASS_COLOURS))
)
STYLE = f"""
:root{{color-scheme:light dark;{_LIGHT};{_CLASSES}}}
@media(prefers-color-scheme:dark){{:root{{{_DARK}}}}}
@media print{{:root{{color-scheme:light;{_LIGHT};--ground:#fff}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,-apple-system,
"Segoe UI",Roboto,sans-serif;-webkit-print-color-adjust:exact;print-color-adjust:exact}}
main{{max-width:1120px;margin:0 auto;padding:30px 24px 60px}}
h1{{font-size:26px;line-height:1.2;margin:0;letter-spacing:-.01em}}
header p{{color:var(--quiet);margin:4px 0 22px;overflow-wrap:anywhere}}
h2{{font-size:20px;margin:34px 0 12px}}h3{{font-size:15px;margin:0 0 2px}}
section{{background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:18px 22px;margin:0 0 16px}}
p.note{{color:var(--quiet);font-size:14px;margin:0 0 12px;max-width:62em}}
.tiles{{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;
margin:0 0 16px}}
.tile{{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}}
.tile b{{display:block;font-size:25px;line-height:1.25;font-weight:600;letter-spacing:-.02em}}
.tile span{{color:var(--quiet);font-size:13px;display:block;line-height:1.35}}
.tile .what{{color:var(--text);font-weight:600}}
svg{{display:block;width:100%;height:auto;font:13px system-ui,-apple-system,"Segoe UI",Roboto,
sans-serif;margin:0 0 8px}}
svg text{{fill:var(--text)}}svg .quiet{{fill:var(--quiet);font-size:12.5px}}
svg .strong{{font-weight:600}}
.ground{{fill:var(--field)}}.shown{{fill:var(--block);opacity:.3}}
.block{{fill:var(--block)}}.other{{fill:var(--quiet);opacity:.5}}
.edge{{stroke:var(--line)}}.grid{{stroke:var(--line)}}
.mark{{stroke:var(--quiet);stroke-dasharray:1 4}}.limit{{stroke:var(--bad);stroke-dasharray:6 4}}
.beyond{{fill:var(--bad)}}.lost{{fill:var(--quiet);opacity:.16}}
.late{{stroke:var(--bad);stroke-width:2}}
.area{{fill:var(--c0);opacity:.28}}.decided{{stroke:var(--c0);stroke-width:4;fill:none}}
.trace{{fill:none;stroke-width:1.4;stroke-linejoin:round}}
{_LINES}
.key{{color:var(--quiet);font-size:13px;margin:0 0 10px}}
.key i{{display:inline-block;width:16px;height:9px;border-radius:2px;margin:0 6px 0 14px}}
.key i:first-child{{margin-left:0}}
.k-p{{background:var(--c0);opacity:.6}}.k-b{{background:var(--block);opacity:.45}}
.k-l{{background:var(--quiet);opacity:.3}}.key .k-d{{background:var(--c0);height:4px;
vertical-align:middle}}.key .k-t{{background:var(--bad);width:4px}}
table{{border-collapse:collapse;width:100%;font-size:14px}}
td,th{{padding:6px 14px 6px 0;text-align:left;vertical-align:top;border-top:1px solid var(--line);
overflow-wrap:anywhere}}
th{{color:var(--quiet);font-weight:500}}table.facts th{{width:15em}}
thead th{{border-top:0;font-size:13px}}
td.n,th.n{{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}}
td.id{{white-space:nowrap}}
.scroll{{overflow-x:auto}}
.state{{font-weight:600;white-space:nowrap}}.filled{{color:var(--good)}}.partly{{color:var(--mid)}}
.open{{color:var(--quiet);font-weight:400;white-space:normal}}
.checklist td:nth-child(2){{width:32%}}.checklist td:first-child{{width:8em}}
.rest{{display:block;color:var(--quiet)}}
.verdict{{margin:14px 0 26px;padding:20px 24px;border-radius:10px;background:var(--card);
border-left:8px solid var(--edge);font-size:24px;line-height:1.35;font-weight:600}}
.verdict span{{display:block;color:var(--edge);font-size:15px;letter-spacing:.08em;font-weight:700}}
.verdict.go{{--edge:var(--good)}}.verdict.stop{{--edge:var(--bad)}}.verdict.open{{--edge:var(--quiet)}}
.chance{{stroke:var(--bad);stroke-dasharray:5 4}}
.whisker{{stroke-width:2.5;stroke-linecap:round}}.whisker.block{{stroke:var(--c0)}}
.whisker.volume{{stroke:var(--c1)}}.dot.block{{fill:var(--c0)}}.dot.volume{{fill:var(--c1)}}
.hit{{fill:color-mix(in srgb,var(--good) calc(100%*var(--share)),var(--ground))}}
.miss{{fill:color-mix(in srgb,var(--bad) calc(100%*var(--share)),var(--ground))}}
.behind{{opacity:.22}}svg .count{{font-weight:600;font-size:15px}}
img{{display:block;width:100%;border-radius:6px}}figure{{margin:0 0 12px}}
figcaption{{font-weight:600;margin-bottom:4px}}tr.strong td{{font-weight:700}}
.two{{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:18px}}
.dots span::before{{content:"";display:inline-block;width:10px;height:10px;border-radius:5px;
margin:0 6px 0 14px;background:var(--dot)}}
@media(max-width:720px){{main{{padding:18px 10px}}section{{padding:12px 14px;overflow-x:auto}}
svg{{min-width:640px}}table.facts th{{width:8em}}.checklist td:first-child{{width:4em}}
td.id{{white-space:normal}}}}
@media print{{.tiles{{grid-template-columns:repeat(4,1fr)}}body{{font-size:12px}}
main{{max-width:none;padding:0}}
section,.tile{{break-inside:avoid;border-color:#ccc}}section.long{{break-inside:auto}}
tr,svg{{break-inside:avoid}}h2,h3,.note,.key{{break-after:avoid}}
table{{font-size:11.5px}}@page{{margin:14mm}}}}
"""


def colour(number: int) -> str:
    """Return the colour of a class or a line, as CSS; colours repeat after the last."""
    return f"var(--c{number % len(CLASS_COLOURS)})"


def page(title: str, lead: str, parts: Sequence[str]) -> str:
    """Return the whole page; `title` and `lead` are text, `parts` HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(lead)}</p></header>"
        f"{''.join(parts)}</main></body></html>\n"
    )


def section(title: str, note: str, body: str, *, long: bool = False) -> str:
    """Return a titled card; `note` is text, `body` HTML; a long one may break across pages."""
    remark = f'<p class="note">{escape(note)}</p>' if note else ""
    kind = ' class="long"' if long else ""
    head = f"<h3>{escape(title)}</h3>" if title else ""
    return f"<section{kind}>{head}{remark}{body}</section>"


def tiles(figures: Sequence[tuple[str, str, str]]) -> str:
    """Return key figures: value, what it is, and what goes with it."""
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><b>{escape(value)}</b><span class="what">{escape(what)}</span>'
            f"<span>{escape(more)}</span></div>"
            for value, what, more in figures
        )
        + "</div>"
    )


def verdict(sentence: str, word: str, kind: str) -> str:
    """Return the headline of a calibration; `kind` is go, stop or open."""
    sign = {"go": "✓ ", "stop": "✕ ", "open": ""}[kind]
    return f'<div class="verdict {kind}"><span>{sign}{escape(word)}</span>{escape(sentence)}</div>'


def items(texts: Sequence[str]) -> str:
    """Return a list; nothing for no text."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>" if texts else ""


def dots(names: Sequence[str]) -> str:
    """Return the key of a chart: a dot in the first, second ... colour and its name."""
    spans = (
        f'<span style="--dot:{colour(number)}">{escape(name)}</span>'
        for number, name in enumerate(names)
    )
    return f'<p class="note dots">{"".join(spans)}</p>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Return a table of names and values."""
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f'<table class="facts">{body}</table>'


def grid(
    head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0, strong: str | None = None
) -> str:
    """Return a table whose last `numbers` columns are figures.

    The row whose first cell is `strong` is bold.
    """
    words = len(head) - numbers

    def cells(row: Sequence[str], tag: str) -> str:
        kinds = [""] * words + [' class="n"'] * numbers
        return "".join(
            f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True)
        )

    marks = {strong: ' class="strong"'}
    body = "".join(f"<tr{marks.get(row[0], '')}>{cells(row, 'td')}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{cells(head, "th")}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
