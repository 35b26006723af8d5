"""What the operator can do: buttons, keys and the dialogs behind them."""

from nicegui import events, ui

from rtdecode.dashboard.service_connection import ServiceConnection, ServiceView
from rtdecode.lifecycle import LifecycleEvent, possible_commands
from rtdecode.wire import MAX_MARK, RunState

HELP = (
    ("S", "start the next run"),
    ("P", "pause or resume"),
    ("E", "end the run, after confirmation"),
    ("M", "mark: add a remark to the record"),
    ("R", "open the report of the calibration"),
    ("D", "dark theme, light theme, or theme of the system"),
    ("?", "show these keys"),
    ("Tab, Enter, Esc", "move, press, close"),
)


class Commands:
    """Buttons and keys of one page.

    Parameters
    ----------
    connection
        Sends the commands.
    report
        Whether there is a report to open.
    """

    def __init__(self, connection: ServiceConnection, *, report: bool) -> None:
        self._connection = connection
        self._report = report
        self._state: RunState | None = None
        self._possible: list[LifecycleEvent] = []
        view = connection.view
        self._notified = view.notes[-1].number if view.notes else 0
        """Number of the last note that was shown."""
        self._run = (view.session, view.run)
        self._dark = ui.dark_mode(value=None)
        self._buttons: dict[str, ui.button] = {}
        with ui.dialog() as self._ending, ui.card().classes("dialog"):
            ui.label("End the run?").classes("dialog-title")
            ui.label("Incomplete volumes are skipped. The run cannot be resumed.")
            with ui.row().classes("dialog-buttons"):
                # The safe answer has the focus.
                ui.button("Keep running", on_click=self._ending.close).props(
                    "flat no-caps autofocus"
                )
                ui.button("End the run", color="negative", on_click=self._end).props(
                    "no-caps id=end-it"
                )
        with ui.dialog() as self._marking, ui.card().classes("dialog"):
            ui.label("Mark").classes("dialog-title")
            self._text = (
                ui.input("Remark", placeholder="what happened")
                .props(f"autofocus outlined maxlength={MAX_MARK}")
                .on("keydown.enter", self._mark)
            )
            ui.label("The session's record keeps the remark: do not name the participant.")
            with ui.row().classes("dialog-buttons"):
                ui.button("Cancel", on_click=self._marking.close).props("flat no-caps")
                ui.button("Mark", on_click=self._mark).props("no-caps")
        with ui.dialog() as self._helping, ui.card().classes("dialog"):
            ui.label("Keys").classes("dialog-title")
            rows = "".join(f"<tr><td><kbd>{k}</kbd></td><td>{what}</td></tr>" for k, what in HELP)
            ui.html(f"<table>{rows}</table>", sanitize=False, tag="div")
            ui.button("Close", on_click=self._helping.close).props("flat no-caps autofocus")

    def place_head_buttons(self) -> None:
        """Place the buttons of the page's head."""
        ui.button("Theme", color=None, on_click=self._change_theme).props(
            'flat dense no-caps aria-label="Theme (D)"'
        )
        ui.button("Keys", color=None, on_click=self._helping.open).props(
            'flat dense no-caps aria-label="Keys"'
        )

    def place_command_buttons(self) -> None:
        """Place the buttons that command the service; `update` enables them."""
        for command, key in (("start", "S"), ("pause", "P"), ("end", "E"), ("mark", "M")):
            button = ui.button(color=None, on_click=lambda c=command: self.press(c)).props(
                "no-caps unelevated"
            )
            with button:
                ui.label(command.capitalize())
                ui.html(key, sanitize=False, tag="kbd")
            self._buttons[command] = button.classes(f"command command-{command}")
            button.props(f"data-command={command} aria-keyshortcuts={key}")
            button.set_enabled(False)

    def listen_to_keys(self) -> None:
        """Listen to keys, except while the focus is in a text field."""
        ui.keyboard(on_key=self._key, repeating=False, ignore=["input", "textarea", "select"])

    def press(self, command: str) -> None:
        """Do what a button says, if it is possible in the run's state."""
        if command == "start" and LifecycleEvent.START in self._possible:
            self._connection.command("start")
        elif command == "pause" and LifecycleEvent.RESUME in self._possible:
            self._connection.command("resume")
        elif command == "pause" and LifecycleEvent.PAUSE in self._possible:
            self._connection.command("pause")
        elif command == "end" and LifecycleEvent.END in self._possible:
            self._ending.open()
        elif command == "mark" and self._state is not None:
            self._text.value = ""
            self._marking.open()

    def update(self, view: ServiceView) -> None:
        """Enable the buttons that are possible now, and show the answers to commands."""
        state = view.status.state if view.status else None
        if state is not None and state != self._state:
            self._state = state
            self._possible = possible_commands(state)
            resume = LifecycleEvent.RESUME in self._possible
            self._buttons["start"].set_enabled(LifecycleEvent.START in self._possible)
            self._buttons["pause"].set_enabled(resume or LifecycleEvent.PAUSE in self._possible)
            self._buttons["end"].set_enabled(LifecycleEvent.END in self._possible)
            self._buttons["mark"].set_enabled(True)
            label = next(c for c in self._buttons["pause"] if isinstance(c, ui.label))
            label.set_text("Resume" if resume else "Pause")
        if (view.session, view.run) != self._run:
            self._run, self._notified = (view.session, view.run), 0
        for note in view.notes:
            if note.number > self._notified and note.kind in ("done", "refused"):
                refused = note.kind == "refused"
                ui.notify(
                    note.text,
                    type="negative" if refused else "positive",
                    position="bottom",
                    timeout=10_000 if refused else 4_000,
                )
        self._notified = view.notes[-1].number if view.notes else self._notified

    def _end(self) -> None:
        self._ending.close()
        self._connection.command("end")

    def _mark(self) -> None:
        text = (self._text.value or "").strip()
        if text and self._marking.value:
            self._marking.close()
            self._connection.command("mark", text)

    def _change_theme(self) -> None:
        order = {None: True, True: False, False: None}
        self._dark.value = order[self._dark.value]
        names = {None: "theme of the system", True: "dark theme", False: "light theme"}
        ui.notify(names[self._dark.value], position="top", timeout=1500)

    def _key(self, event: events.KeyEventArguments) -> None:
        modifiers = event.modifiers
        if not event.action.keydown or modifiers.ctrl or modifiers.alt or modifiers.meta:
            return
        if self._ending.value or self._marking.value or self._helping.value:
            return
        name = str(event.key.name)
        commands = {"s": "start", "p": "pause", "e": "end", "m": "mark"}
        if name == "?":
            self._helping.open()
        elif name.lower() in commands:
            self.press(commands[name.lower()])
        elif name.lower() == "d":
            self._change_theme()
        elif name.lower() == "r" and self._report:
            ui.navigate.to("/report", new_tab=True)
