"""`session_report.html`: a session at a glance, for the operator, the reader and the reviewer."""

from html import escape

from rtdecode.journal import NAMELESS
from rtdecode.record import summary
from rtdecode.record.checklist import CITATION, FILLED, PARTLY, answered
from rtdecode.record.crednf import answers
from rtdecode.record.decoder_section import decoder_sections
from rtdecode.record.run_section import run_sections
from rtdecode.record.session_data import Told
from rtdecode.report_kit import count, facts, page, section


def report(told: Told) -> str:
    """Return the page."""
    runs = count(len(told.runs), "run")
    lead = f"Session report of rtdecode · session {told.session.session} · {runs}"
    parts = []
    for run in told.runs:
        parts += run_sections(told, run)
    parts += decoder_sections(told.runs, told.manifests)
    parts += _provenance(told)
    parts.append(_checklist(told))
    return page(told.labels.title, lead, parts)


def _provenance(told: Told) -> list[str]:
    servings = told.session.servings
    rows = [("Session", told.session.session)]
    for run in told.runs:
        name = told.labels.stem(run.run).rpartition("_")[2]
        rows.append((f"{name}: bundle", run.bundle))
        rows.append((f"{name}: sha256 of the outcomes", summary.outcomes_sha256(run)))
    parts = [section("Digests", "Equal runs have equal digests; rtdecode replay --verify computes "
                     "every outcome again and compares.", facts(rows))]  # fmt: skip
    for number, serving in enumerate(servings, start=1):
        libraries = serving.settings.get("libraries", {})
        settings = serving.settings
        served = [
            ("rtdecode", serving.version),
            ("System", serving.system),
            ("Libraries", ", ".join(f"{n} {v}" for n, v in libraries.items()) or "not recorded"),
            ("Provider", f"{settings.get('provider') or 'not recorded'}, "
             f"{count(settings.get('threads', 1), 'thread')}"),
            ("Bundle", serving.bundle),
            ("Source", str(settings.get("source", "")).partition(":")[0]),
            ("Settings", ", ".join(f"{n} {_plain(settings[n])}" for n in NAMELESS
                                   if n in settings and n not in _SAID)),
        ]  # fmt: skip
        which = "Served with" if len(servings) == 1 else f"Served with, start {number}"
        parts.append(section(which, f"From outcome {serving.sequence + 1} on.", facts(served)))
    return ["<h2>Versions and hashes</h2>", *parts]


_SAID = ("provider", "threads", "libraries")
"""Settings with a line of their own."""


def _plain(value: object) -> str:
    if value is None:
        return "default"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _checklist(told: Told) -> str:
    said = answers(told.session, told.runs, told.events, told.manifests)
    rows, domain = [], ""
    kinds = {FILLED: "filled", PARTLY: "partly"}
    for one in answered(said):
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
        f"The consensus on reporting and design of neurofeedback studies ({CITATION}), its items "
        "in short. What a session's record knows is filled in; the rest is the experimenter's."
    )
    body = f'<table class="checklist"><tbody>{"".join(rows)}</tbody></table>'
    return "<h2>CRED-nf checklist</h2>" + section("", note, body, long=True)
