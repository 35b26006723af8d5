"""The report's frame: one file, light and dark, on screen and on paper."""

from collections.abc import Sequence
from html import escape

_LIGHT = """--ground:#f7f7f5;--card:#fff;--text:#1b1f26;--quiet:#5f6977;--line:#e2e4e8;
--field:#f3f4f5;--good:#1a7f4b;--bad:#b3402a;--mid:#8a6a10;--block:#c8642a;--s0:#2f6db5;
--s1:#c8642a;--s2:#2f8f6b;--s3:#8a57b0"""
_DARK = """--ground:#0f1216;--card:#171b21;--text:#e7eaee;--quiet:#98a4b3;--line:#2a3038;
--field:#1d222a;--good:#4fc48a;--bad:#f08a6e;--mid:#e0c060;--block:#f0985f;--s0:#6fa8e8;
--s1:#f0985f;--s2:#63c7a0;--s3:#bd90e0"""
STYLE = f"""
:root{{color-scheme:light dark;{_LIGHT}}}
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
.area{{fill:var(--s0);opacity:.28}}.decided{{stroke:var(--s0);stroke-width:4;fill:none}}
.trace{{fill:none;stroke-width:1.4;stroke-linejoin:round}}
.stroke0{{stroke:var(--s0)}}.stroke1{{stroke:var(--s1)}}.stroke2{{stroke:var(--s2)}}
.stroke3{{stroke:var(--s3)}}
.fill0{{fill:var(--s0)}}.fill1{{fill:var(--s1)}}.fill2{{fill:var(--s2)}}.fill3{{fill:var(--s3)}}
.key{{color:var(--quiet);font-size:13px;margin:0 0 10px}}
.key i{{display:inline-block;width:16px;height:9px;border-radius:2px;margin:0 6px 0 14px}}
.key i:first-child{{margin-left:0}}
.k-p{{background:var(--s0);opacity:.6}}.k-b{{background:var(--block);opacity:.45}}
.k-l{{background:var(--quiet);opacity:.3}}.key .k-d{{background:var(--s0);height:4px;
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
@media(max-width:720px){{main{{padding:18px 10px}}section{{padding:12px 14px;overflow-x:auto}}
svg{{min-width:640px}}table.facts th{{width:8em}}.checklist td:first-child{{width:4em}}
td.id{{white-space:normal}}}}
@media print{{.tiles{{grid-template-columns:repeat(4,1fr)}}body{{font-size:12px}}
main{{max-width:none;padding:0}}
section,.tile{{break-inside:avoid;border-color:#ccc}}section.long{{break-inside:auto}}
tr,svg{{break-inside:avoid}}h2,h3,.note,.key{{break-after:avoid}}
table{{font-size:11.5px}}@page{{margin:14mm}}}}
"""


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
    told = f'<p class="note">{escape(note)}</p>' if note else ""
    kind = ' class="long"' if long else ""
    head = f"<h3>{escape(title)}</h3>" if title else ""
    return f"<section{kind}>{head}{told}{body}</section>"


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


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Return a table of names and values."""
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f'<table class="facts">{body}</table>'


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> str:
    """Return a table whose last `numbers` columns are figures."""
    words = len(head) - numbers

    def cells(row: Sequence[str], tag: str) -> str:
        kinds = [""] * words + [' class="n"'] * numbers
        return "".join(
            f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{cells(head, "th")}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
