"""What the operator can do: buttons, keys and the dialogs behind them."""

from nicegui import events, ui

from rtdecode.dashboard.service_connection import Command, ServiceConnection, ServiceView

MAX_MARK = 1000
HELP = (
    ("S", "start the next run"),
    ("P", "pause, or resume"),
    ("E", "end the run (asks first)"),
    ("M", "mark: put a remark into the record"),
    ("R", "open the calibration's report"),
    ("D", "dark, light, or as the system has it"),
    ("?", "these keys"),
    ("Tab, Enter, Esc", "move, press, close"),
)
POSSIBLE: dict[str, tuple[Command, ...]] = {
    "idle": ("start",),
    "ended": ("start",),
    "ready": ("pause", "end"),
    "calibrating": ("pause", "end"),
    "running": ("pause", "end"),
    "paused": ("resume", "end"),
}


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
        self._state = "unknown"
        snapshot = connection.view
        self._told = snapshot.notes[-1].number if snapshot.notes else 0
        self._run = (snapshot.session, snapshot.run)
        self._dark = ui.dark_mode(value=None)
        self._buttons: dict[str, ui.button] = {}
        with ui.dialog() as self._ending, ui.card().classes("dialog"):
            ui.label("End the run?").classes("dialog-title")
            ui.label("What is incomplete becomes skipped. The run cannot be continued.")
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
            ui.label("It goes into the session's record: do not name the participant.")
            with ui.row().classes("dialog-buttons"):
                ui.button("Cancel", on_click=self._marking.close).props("flat no-caps")
                ui.button("Mark", on_click=self._mark).props("no-caps")
        with ui.dialog() as self._helping, ui.card().classes("dialog"):
            ui.label("Keys").classes("dialog-title")
            rows = "".join(f"<tr><td><kbd>{k}</kbd></td><td>{what}</td></tr>" for k, what in HELP)
            ui.html(f"<table>{rows}</table>", sanitize=False, tag="div")
            ui.button("Close", on_click=self._helping.close).props("flat no-caps autofocus")

    def looks(self) -> None:
        """Place the buttons of the page's head."""
        ui.button("Theme", color=None, on_click=self._turn).props(
            'flat dense no-caps aria-label="Theme (D)"'
        )
        ui.button("Keys", color=None, on_click=self._helping.open).props(
            'flat dense no-caps aria-label="Keys"'
        )

    def buttons(self) -> None:
        """Place the buttons that command the service."""
        for command, key in (("start", "S"), ("pause", "P"), ("end", "E"), ("mark", "M")):
            button = ui.button(color=None, on_click=lambda c=command: self.press(c)).props(
                "no-caps unelevated"
            )
            with button:
                ui.label(command.capitalize())
                ui.html(key, sanitize=False, tag="kbd")
            self._buttons[command] = button.classes(f"command command-{command}")
            button.props(f"data-command={command} aria-keyshortcuts={key}")

    def keyboard(self) -> None:
        """Listen to keys, wherever the focus is but in a text field."""
        ui.keyboard(on_key=self._key, repeating=False, ignore=["input", "textarea", "select"])

    def press(self, command: str) -> None:
        """Do what a button says, as far as the run's state allows it."""
        possible = POSSIBLE.get(self._state, ())
        if command == "start" and "start" in possible:
            self._connection.command("start")
        elif command == "pause" and ("pause" in possible or "resume" in possible):
            self._connection.command("resume" if "resume" in possible else "pause")
        elif command == "end" and "end" in possible:
            self._ending.open()
        elif command == "mark" and self._state not in ("", "unknown"):
            self._text.value = ""
            self._marking.open()

    def follow(self, snapshot: ServiceView) -> None:
        """Enable what is possible, and tell what was answered."""
        state = snapshot.status.state if snapshot.status else ""
        if state != self._state:
            self._state = state
            possible = POSSIBLE.get(state, ())
            self._buttons["start"].set_enabled("start" in possible)
            self._buttons["pause"].set_enabled("pause" in possible or "resume" in possible)
            self._buttons["end"].set_enabled("end" in possible)
            self._buttons["mark"].set_enabled(bool(state))
            label = next(c for c in self._buttons["pause"] if isinstance(c, ui.label))
            label.set_text("Resume" if "resume" in possible else "Pause")
        if (snapshot.session, snapshot.run) != self._run:
            self._run, self._told = (snapshot.session, snapshot.run), 0
        for note in snapshot.notes:
            if note.number > self._told and note.kind in ("done", "refused"):
                refused = note.kind == "refused"
                ui.notify(
                    note.text,
                    type="negative" if refused else "positive",
                    position="bottom",
                    timeout=10_000 if refused else 4_000,
                )
        self._told = snapshot.notes[-1].number if snapshot.notes else self._told

    def _end(self) -> None:
        self._ending.close()
        self._connection.command("end")

    def _mark(self) -> None:
        text = (self._text.value or "").strip()
        if text and self._marking.value:
            self._marking.close()
            self._connection.command("mark", text)

    def _turn(self) -> None:
        order = {None: True, True: False, False: None}
        self._dark.value = order[self._dark.value]
        words = {None: "as the system has it", True: "dark", False: "light"}
        ui.notify(f"theme: {words[self._dark.value]}", position="top", timeout=1500)

    def _key(self, event: events.KeyEventArguments) -> None:
        held = event.modifiers
        if not event.action.keydown or held.ctrl or held.alt or held.meta:
            return
        if self._ending.value or self._marking.value or self._helping.value:
            return
        name = str(event.key.name)
        orders = {"s": "start", "p": "pause", "e": "end", "m": "mark"}
        if name == "?":
            self._helping.open()
        elif name.lower() in orders:
            self.press(orders[name.lower()])
        elif name.lower() == "d":
            self._turn()
        elif name.lower() == "r" and self._report:
            ui.navigate.to("/report", new_tab=True)
