"""`session_report.html`: an overview of a session for operators, readers and reviewers."""

from html import escape

from rtdecode.journal import NAMELESS
from rtdecode.record import summary
from rtdecode.record.checklist import CITATION, FILLED, PARTLY, all_items
from rtdecode.record.crednf import answers
from rtdecode.record.decoder_section import decoder_sections
from rtdecode.record.run_section import run_sections
from rtdecode.record.session_data import SessionData
from rtdecode.report_kit import count, facts, page, section


def report(data: SessionData) -> str:
    """Return the page as HTML."""
    runs = count(len(data.runs), "run")
    lead = f"Session report of rtdecode · session {data.session.session} · {runs}"
    parts = []
    for run in data.runs:
        parts += run_sections(data, run)
    parts += decoder_sections(data.runs, data.manifests)
    parts += _provenance(data)
    parts.append(_checklist(data))
    return page(data.labels.title, lead, parts)


def _provenance(data: SessionData) -> list[str]:
    servings = data.session.servings
    rows = [("Session", data.session.session)]
    for run in data.runs:
        name = data.labels.stem(run.run).rpartition("_")[2]
        rows.append((f"{name}: bundle", run.bundle))
        rows.append((f"{name}: sha256 of the outcomes", summary.outcomes_sha256(run)))
    parts = [section("Digests", "Equal runs have equal digests. rtdecode replay --verify computes "
                     "every outcome again and compares them.", facts(rows))]  # fmt: skip
    for number, serving in enumerate(servings, start=1):
        libraries = serving.settings.get("libraries", {})
        settings = serving.settings
        rows = [
            ("rtdecode", serving.version),
            ("System", serving.system),
            ("Libraries", ", ".join(f"{n} {v}" for n, v in libraries.items()) or "not recorded"),
            ("Provider", f"{settings.get('provider') or 'not recorded'}, "
             f"{count(settings.get('threads', 1), 'thread')}"),
            ("Bundle", serving.bundle),
            ("Source", str(settings.get("source", "")).partition(":")[0]),
            ("Settings", ", ".join(f"{n} {_plain(settings[n])}" for n in NAMELESS
                                   if n in settings and n not in _OTHER_LINES)),
        ]  # fmt: skip
        title = "Service" if len(servings) == 1 else f"Service, start {number}"
        parts.append(section(title, f"From outcome {serving.sequence + 1} on.", facts(rows)))
    return ["<h2>Versions and hashes</h2>", *parts]


_OTHER_LINES = ("provider", "threads", "libraries")
"""Settings that have their own line."""


def _plain(value: object) -> str:
    if value is None:
        return "default"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _checklist(data: SessionData) -> str:
    found = answers(data.session, data.runs, data.events, data.manifests)
    rows, domain = [], ""
    kinds = {FILLED: "filled", PARTLY: "partly"}
    for one in all_items(found):
        item = one.item
        if item.domain != domain:
            domain = item.domain
            rows.append(f'<tr><th colspan="3" scope="colgroup"><b>{escape(domain)}</b></th></tr>')
        rest = (
            f'<span class="rest">To add: {escape(one.answer.rest)}</span>'
            if one.answer.rest
            else ""
        )
        rows.append(
            f'<tr><td class="id">{escape(item.number)}</td><td>{escape(item.wording)}</td>'
            f'<td><span class="state {kinds.get(one.state, "open")}">{escape(one.state)}</span> '
            f"{escape(one.answer.text)}{rest}</td></tr>"
        )
    note = (
        f"The consensus on reporting and design of neurofeedback studies ({CITATION}), with "
        "shortened items. What the session's record contains is filled in. The experimenter adds "
        "the rest."
    )
    body = f'<table class="checklist"><tbody>{"".join(rows)}</tbody></table>'
    return "<h2>CRED-nf checklist</h2>" + section("", note, body, long=True)
