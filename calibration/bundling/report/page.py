"""The page's frame and its words."""

from collections.abc import Sequence
from html import escape

STYLE = """
:root{--ground:#fbfbfa;--card:#fff;--text:#1b1f26;--quiet:#667080;--line:#e3e5e8;--go:#1a7f4b;
--stop:#b3402a;--c0:#2f6db5;--c1:#c8642a;--c2:#2f8f6b;--c3:#8a57b0;--c4:#b8952b;--c5:#b54668;
--c6:#4b8fa8;--c7:#6f7a39}
@media(prefers-color-scheme:dark){:root{--ground:#0f1216;--card:#171b21;--text:#e7eaee;
--quiet:#93a0b0;--line:#2a3038;--go:#4fc48a;--stop:#f08a6e;--c0:#6fa8e8;--c1:#f0985f;--c2:#63c7a0;
--c3:#bd90e0;--c4:#e0c060;--c5:#ea84a4;--c6:#7fc4dc;--c7:#b0bd70}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:16px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,sans-serif}
main{max-width:960px;margin:0 auto;padding:28px 20px 60px}
header{display:flex;align-items:baseline;gap:14px;color:var(--quiet);font-size:14px}
header b{color:var(--text)}
.verdict{margin:14px 0 26px;padding:20px 24px;border-radius:10px;background:var(--card);
border-left:8px solid var(--edge);font-size:24px;line-height:1.35;font-weight:600}
.verdict span{display:block;color:var(--edge);font-size:15px;letter-spacing:.08em;font-weight:700}
.go{--edge:var(--go)}.stop{--edge:var(--stop)}.open{--edge:var(--quiet)}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px 22px;
margin:0 0 18px}
h2{font-size:17px;margin:0 0 4px}
p.note{color:var(--quiet);font-size:14px;margin:0 0 12px;max-width:46em}
svg{display:block;width:100%;height:auto;font:14px system-ui,sans-serif}
svg text{fill:var(--text)}svg .quiet{fill:var(--quiet);font-size:13px}svg .strong{font-weight:700}
.grid{stroke:var(--line)}.chance{stroke:var(--stop);stroke-dasharray:5 4}
.limit{stroke:var(--stop);stroke-dasharray:2 3}
.whisker{stroke-width:2.5;stroke-linecap:round}.whisker.block{stroke:var(--c0)}.whisker.volume{stroke:var(--c1)}
.dot.block{fill:var(--c0)}.dot.volume{fill:var(--c1)}
.trace{fill:none;stroke-width:2}.trace.thin{stroke-width:1.3}
.ground{fill:var(--ground)}.shown{opacity:.22}
.hit{fill:color-mix(in srgb,var(--go) calc(100%*var(--share)),var(--ground))}
.miss{fill:color-mix(in srgb,var(--stop) calc(100%*var(--share)),var(--ground))}
svg .count{font-weight:600;font-size:15px}
img{display:block;width:100%;border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:14px}
td,th{padding:5px 10px 5px 0;text-align:left;vertical-align:top;border-top:1px solid var(--line);
overflow-wrap:anywhere}
tr.strong td{font-weight:700}
th{color:var(--quiet);font-weight:500;width:15em}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:18px}
figure{margin:0 0 12px}figcaption{font-weight:600;margin-bottom:4px}
.key::before{content:"";display:inline-block;width:10px;height:10px;border-radius:5px;
margin:0 6px 0 14px;background:var(--dot)}
@media print{section{break-inside:avoid}body{background:#fff}}
"""


def page(title: str, heading: str, parts: Sequence[str]) -> str:
    """Return the whole page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<header>{heading}</header>{''.join(parts)}</main></body></html>\n"
    )


def section(title: str, note: str, body: str) -> str:
    """Return a titled card; `note` is a sentence, `body` is HTML."""
    told = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{told}{body}</section>"


def verdict(sentence: str, word: str, kind: str) -> str:
    """Return the headline; `kind` is go, stop or open."""
    sign = {"go": "✓ ", "stop": "✕ ", "open": ""}[kind]
    return f'<div class="verdict {kind}"><span>{sign}{escape(word)}</span>{escape(sentence)}</div>'


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Return a table of names and values."""
    body = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows
    )
    return f"<table>{body}</table>"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], strong: str) -> str:
    """Return a table with a heading, in which the row whose first cell is `strong` is bold."""
    marks = {strong: ' class="strong"'}
    body = "".join(
        f"<tr{marks.get(row[0], '')}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table><tr>{cells}</tr>{body}</table>"


def items(texts: Sequence[str]) -> str:
    """Return a list."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"
