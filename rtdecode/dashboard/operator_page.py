"""The page: the layout of its panels, and when they are refreshed."""

import time
from dataclasses import dataclass
from importlib.resources import files

from nicegui import ui
from nicegui.elements.echart import EChart

from rtdecode.bundle import Manifest
from rtdecode.dashboard import echart_options, html_tables, model, panels
from rtdecode.dashboard.operator_commands import Commands
from rtdecode.dashboard.planned_blocks import presented_blocks
from rtdecode.dashboard.service_connection import ServiceConnection
from rtdecode.dashboard.session_folder import FolderView, SessionFolder
from rtdecode.events import Block

REFRESH_S = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """The sources of the contents of every page."""

    connection: ServiceConnection
    folder: SessionFolder | None
    """`None` if the session's folder is not on this computer."""
    manifest: Manifest | None
    """Manifest of the decoder's bundle, if it is known."""
    blocks: tuple[Block, ...]
    """Planned blocks of the task; empty if they are not given."""
    name: str
    """Name of the session, from the operator."""
    same_computer: bool
    """Whether the service runs on this computer and shares its clock."""
    report: bool
    """Whether the bundle has a report."""

    def plan(self) -> model.RunPlan:
        """Return what is known of the course of the run."""
        if self.folder is None:
            return model.RunPlan(self.blocks)
        remarks = self.folder.view.remarks
        settings = {} if remarks.service_start is None else remarks.service_start.settings
        presented = presented_blocks(remarks.stimulus_events, self.connection.view.run)
        return model.RunPlan(self.blocks, int(settings.get("volumes") or 0), presented)


class OperatorPage:
    """The page in one browser.

    Parameters
    ----------
    sources
        The sources of the page's contents.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._contents: dict[str, str] = {}
        self._html: dict[str, ui.html] = {}
        self._drawn: tuple[object, ...] = ()
        self._charts: dict[str, EChart] = {}
        self._charted: tuple[object, ...] = ()
        self._commands = Commands(sources.connection, report=sources.report)
        static = files("rtdecode.dashboard") / "static"
        ui.add_css((static / "page.css").read_text(encoding="utf-8"))
        ui.add_head_html(f"<script>{(static / 'page.js').read_text(encoding='utf-8')}</script>")
        ui.html("", sanitize=False, tag="div").props("id=stale role=alert hidden")
        with ui.element("header"):
            ui.html("rtdecode", sanitize=False, tag="h1")
            self._place("about")
            self._place("worth")
            self._commands.place_head_buttons()
        with ui.element("div").classes("board"):
            self._panel("run", "Run", "state")
            self._panel("countdown", "Countdown", "countdown")
            with self._section("decision", "Decision"):
                self._place("age", "aside")
                self._place("decision")
            self._chart("probabilities", "Probabilities")
            self._panel("slices", "Newest volume", "slices", aside="sliced")
            self._chart("motion", "Head motion", aside="head")
            self._chart("quality", "Signal", aside="signal")
            self._panel("latency", "Latency", "latency")
            self._panel("ledger", "Ledger", "ledger")
            self._panel("log", "Log", "log")
        with ui.element("footer"):
            self._commands.place_command_buttons()
        self._commands.listen_to_keys()
        self._refresh()
        ui.timer(REFRESH_S, self._refresh)

    def _section(self, name: str, title: str) -> ui.element:
        section = ui.element("section").classes(f"panel panel-{name}")
        section.props(f'aria-label="{title}"')
        with section:
            ui.html(title, sanitize=False, tag="h2")
        return section

    def _panel(self, name: str, title: str, content: str, *, aside: str = "") -> None:
        with self._section(name, title):
            if aside:
                self._place(aside, "aside")
            self._place(content)

    def _place(self, name: str, kind: str = "") -> None:
        element = ui.html("", sanitize=False, tag="div").classes(f"{name} {kind}".strip())
        self._html[name] = element.props(f"data-panel={name}")

    def _chart(self, name: str, title: str, *, aside: str = "") -> None:
        with self._section(name, title):
            if aside:
                self._place(aside, "aside")
            self._charts[name] = ui.echart({"series": []}).classes("chart")
            self._charts[name].props(f'role=img aria-label="{title} over time"')

    def _show(self, name: str, content: str) -> None:
        if self._contents.get(name) != content:
            self._contents[name] = content
            self._html[name].set_content(content)

    def _refresh(self) -> None:
        sources = self._sources
        view, plan = sources.connection.view, sources.plan()
        folder = None if sources.folder is None else sources.folder.view
        status, now_ns = view.status, time.monotonic_ns()
        repetition_s = status.repetition_time_s if status else None
        progress = model.progress(view, plan, now_ns)
        age_s = model.decision_age_s(view, now_ns, same_computer=sources.same_computer)
        limit_mm = None
        if sources.manifest is not None:
            limit_mm = sources.manifest.preparation.framewise_displacement_limit_mm
        self._show("countdown", panels.countdown(progress))
        self._show("age", panels.age(age_s, repetition_s, running=progress.running))
        views = (view.status, view.outcomes, view.notes, folder, view.dead, view.trouble)
        if not self._drawn or any(a is not b for a, b in zip(views, self._drawn, strict=True)):
            self._drawn = views
            classes = status.classes if status else ()
            self._show("about", panels.about(view, sources.name))
            self._show("worth", panels.worth(sources.manifest, report=sources.report))
            self._show("state", panels.state(view, progress))
            self._show("decision", panels.decision(view, classes))
            self._show("head", panels.head(view.outcomes, limit_mm))
            self._show("signal", panels.signal(view.outcomes))
            self._show("latency", html_tables.latency(status))
            self._show("ledger", html_tables.ledger(view))
            self._show("log", html_tables.log(model.log_lines(view, folder or FolderView())))
            has_slices = folder is not None and folder.index >= 0
            caption = f"volume {folder.index} · left is left" if folder and has_slices else ""
            self._show("sliced", caption)
            self._show("slices", panels.slices(folder))
        self._redraw(plan, limit_mm)
        self._commands.update(view)
        silent_s = model.silent_s(view, now_ns)
        state = status.state if status else ""
        ui.run_javascript(f"rtdecode.beat({silent_s:.2f}, '{state}')")

    def _redraw(self, plan: model.RunPlan, limit_mm: float | None) -> None:
        view = self._sources.connection.view
        status = view.status
        if status is None:
            return
        repetition_s = status.repetition_time_s or 1.0
        frame = (status.classes, plan, limit_mm, view.session, view.run)
        is_new = not self._charted or self._charted[0] != frame
        if not is_new and self._charted[1] is view.outcomes:
            return
        self._charted = (frame, view.outcomes)
        outcomes, classes = view.outcomes, status.classes
        length_s = plan.length_s(repetition_s)
        options = {
            "probabilities": echart_options.probabilities(classes, plan, length_s),
            "motion": echart_options.motion(limit_mm, length_s),
            "quality": echart_options.quality(length_s),
        }
        changes = {
            "probabilities": echart_options.probability_data(outcomes, classes, repetition_s),
            "motion": echart_options.motion_data(outcomes, repetition_s),
            "quality": echart_options.quality_data(outcomes, repetition_s),
        }
        for name, data in changes.items():
            chart = self._charts[name]
            if not is_new:
                # Send only the data, not the whole description of the chart.
                chart.run_chart_method("setOption", data)
                continue
            chart.options.clear()
            chart.options.update(echart_options.with_data(options[name], data))
            chart.update()
