"""The tables of latency, ledger and log, as HTML; see `panels`."""

from collections.abc import Sequence
from html import escape

from rtdecode.dashboard.model import LogLine, skips, unused
from rtdecode.dashboard.service_connection import ServiceView
from rtdecode.wire import Status


def latency(status: Status | None) -> str:
    """Return the table of each stage's duration."""
    if status is None or not status.latency:
        return "<p class=dim>no volume yet</p>"
    slowest_ms = max(times.p95_ms for name, times in status.latency.items() if name != "total")
    rows = []
    for name, times in status.latency.items():
        share = 100 * min(1.0, times.p95_ms / max(slowest_ms, 1e-9)) if name != "total" else 0
        rows.append(
            f"<tr class=stage-{escape(name)} data-stage={escape(name)}>"
            f"<th scope=row>{escape(name)}</th>"
            f"<td data-p50={times.p50_ms}>{_ms(times.p50_ms)}</td>"
            f"<td data-p95={times.p95_ms}>{_ms(times.p95_ms)}</td>"
            f"<td data-p99={times.p99_ms}>{_ms(times.p99_ms)}</td>"
            f"<td class=meter><i style='width:{share:.0f}%'></i></td></tr>"
        )
    return (
        "<table><thead><tr><th scope=col>ms</th><th scope=col>p50</th><th scope=col>p95</th>"
        f"<th scope=col>p99</th><th></th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def ledger(view: ServiceView) -> str:
    """Return the table of received objects and decided or skipped volumes."""
    status = view.status
    if status is None:
        return "<p class=dim>no service yet</p>"
    rows = [
        _count("objects received", status.objects, "objects"),
        _count("volumes decided", status.decisions, "decisions"),
        *(
            _count(f"… not counted: {reason}", number, f"unused-{reason}", "warn")
            for reason, number in sorted(unused(view.outcomes).items())
        ),
        _count("volumes skipped", status.skipped, "skipped", "warn"),
        *(
            _count(f"… {reason}", number, f"skipped-{reason}", "dim")
            for reason, number in sorted(skips(view.outcomes).items())
        ),
        _count("late", status.late, "late", "warn"),
        _count("unreadable", status.unreadable, "unreadable", "bad"),
        _count("left out", status.left_out, "left-out", "warn"),
        _count("in conflict", status.conflicts, "conflicts", "bad"),
    ]
    return f"<dl>{''.join(rows)}</dl>"


def log(lines: Sequence[LogLine]) -> str:
    """Return the list of events, the newest first."""
    if not lines:
        return "<p class=dim>nothing yet</p>"
    items = (
        f"<li class=log-{escape(line.kind)}><span>{'–' if line.volume < 0 else line.volume}</span>"
        f"<em>{escape(line.kind)}</em> {escape(line.text)}</li>"
        for line in lines
    )
    return f"<ol>{''.join(items)}</ol>"


def _count(label: str, number: int, name: str, tone: str = "") -> str:
    style = (tone or "plain") if number else "dim"
    return (
        f"<dt class={style}>{escape(label)}</dt>"
        f"<dd class={style} data-{escape(name)}={number}>{number}</dd>"
    )


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
