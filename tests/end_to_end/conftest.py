"""A running service with a stand-in decoder, and the check that no socket is left open."""

import gc
import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from types import ModuleType

import pytest
import zmq

from rtdecode.adapters.address import Address
from rtdecode.client import Control, Outcomes
from rtdecode.errors import ConfigError
from rtdecode.service import Endpoints, ExitSummary, ServiceSettings, serve

ANY = "tcp://127.0.0.1:*"


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STAND_IN = Path(__file__).with_name("stand_in.py")
stand_in_module = _load(STAND_IN)
canary_module = _load(Path(__file__).with_name("canaries.py"))


@pytest.fixture(autouse=True)
def no_socket_is_left() -> Iterator[None]:
    """Fail a test that leaves a ZeroMQ context open."""
    yield
    # Compare types: `isinstance` reads the class of every object, and some of torch's warn.
    left = [o for o in gc.get_objects() if issubclass(type(o), zmq.Context) and not o.closed]
    assert not left, "ZeroMQ contexts were left open"


@pytest.fixture
def scanner():
    """Return a series of small volumes."""
    return stand_in_module.Scanner()


@pytest.fixture
def canaries() -> ModuleType:
    """Return the module that adds identifiers to objects and finds them."""
    return canary_module


@pytest.fixture
def make_scanner():
    """Return the class of small series."""
    return stand_in_module.Scanner


@pytest.fixture
def stand_in():
    """Return the class of tiny deterministic decoders."""
    return stand_in_module.StandIn


@pytest.fixture
def stand_in_script() -> Path:
    """Return the program that serves with the tiny decoder."""
    return STAND_IN


@pytest.fixture(scope="session")
def scanned(tmp_path_factory) -> Path:
    """Return a folder with a run as DICOM, its events, and (random) weights."""
    import torch

    from calibration import simulation
    from calibration.networks import DeepLight
    from calibration.weights import Description, save_deeplight

    folder = tmp_path_factory.mktemp("scanned")
    chosen = [s for s in simulation.default_states() if s.trial_type in {"left_hand", "places"}]
    activation = simulation.ActivationSettings(bold_percent=8.0, block_spread=0.1)
    settings = simulation.ParticipantSettings(tuple(chosen), activation)
    participant = simulation.make_participant(simulation.load_template(), settings, 1)
    protocol = simulation.EpiProtocol((40, 40, 28), (5.5, 5.5, 5.0), repetition_time_s=2.0)
    design = simulation.RunDesign(blocks_per_state=4, block_s=12.0, rest_s=8.0, protocol=protocol)
    run = simulation.simulate_run(participant, design, seed=3)
    simulation.write_dicom(run, folder / "dicom")
    simulation.write_events(run.events, folder / "events.tsv")
    grid = (23, 28, 23)
    affine = ((-8.0, 0, 0, 90.0), (0, 8.0, 0, -126.0), (0, 0, 8.0, -72.0), (0, 0, 0, 1.0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        network = DeepLight(grid, 2)
    about = Description(grid, ("one", "two"), "random", affine, layers=(4,))
    save_deeplight(network, folder / "net.safetensors", about)
    return folder


@dataclass
class Running:
    """A service in a thread."""

    endpoints: Endpoints
    stop: threading.Event
    thread: Future[ExitSummary]

    def finish(self) -> ExitSummary:
        """Wait for the end of the run, without the delay that the service gives to clients."""
        with Control(self.endpoints.control, timeout_s=0.5) as control:
            while not self.thread.done():
                with suppress(ConfigError):  # no answer: the service has ended
                    if control.status().state in {"ended", "faulted"}:
                        self.stop.set()
        return self.thread.result()

    def shut(self) -> ExitSummary:
        """Stop it as Ctrl-C does."""
        self.stop.set()
        return self.thread.result(timeout=60)

    def outcomes(self, timeout_s: float = 20.0) -> Outcomes:
        """Subscribe."""
        return Outcomes(self.endpoints.outcomes, self.endpoints.control, timeout_s)

    def control(self) -> Control:
        """Connect to its control socket."""
        return Control(self.endpoints.control, timeout_s=20.0)


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    """Return settings for a watched folder, on free ports."""
    (tmp_path / "export").mkdir()
    return ServiceSettings(
        session=tmp_path / "session",
        source=f"folder:{tmp_path / 'export'}",
        outcomes=ANY,
        control=ANY,
        ingest=ANY,
        patience_s=0.2,
        file_patience_s=0.5,
        checkpoint_volumes=3,
        linger_s=60.0,  # until `finish` or `shut`, so that no client comes too late
    )


@pytest.fixture
def start(settings: ServiceSettings) -> Iterator[Callable[..., Running]]:
    """Return a function that starts a service and waits until it is ready."""
    started: list[Running] = []
    with ThreadPoolExecutor(4) as pool:

        def begin(decoder: object = None, **changes: object) -> Running:
            ready: Queue[Endpoints | None] = Queue()
            stop = threading.Event()
            decoder = decoder or stand_in_module.StandIn()
            thread = pool.submit(
                serve, replace(settings, **changes), decoder, on_ready=ready.put, stop=stop
            )
            thread.add_done_callback(lambda _: ready.put(None))
            endpoints = ready.get(timeout=30)
            if endpoints is None:
                thread.result()
                raise AssertionError("the service ended before it was ready")
            started.append(Running(endpoints, stop, thread))
            return started[-1]

        yield begin
        for running in started:
            running.stop.set()


@pytest.fixture
def export(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Return a function that writes a file into the watched folder as scanners do."""

    def put(name: str, content: bytes) -> Path:
        path = tmp_path / "export" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(content)
        return part.replace(path)

    return put


@pytest.fixture
def until() -> Callable[..., None]:
    """Return a function that waits until a condition is true, and fails after a deadline."""

    def wait(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, "the condition did not become true in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def adapt() -> Iterator[Callable[..., tuple[str, int]]]:
    """Return a function that starts an adapter in a thread and returns its address."""
    stop = threading.Event()
    running: list[Future[None]] = []
    with ThreadPoolExecutor(4) as pool:

        def begin(run: Callable[..., None], *arguments: object) -> tuple[str, int]:
            ready: Queue[Address | None] = Queue()
            running.append(pool.submit(run, *arguments, stop, ready.put))
            running[-1].add_done_callback(lambda _: ready.put(None))
            address = ready.get(timeout=30)
            if address is None:
                running.pop().result()
                raise AssertionError("the adapter ended before it was ready")
            return address.host, address.port

        yield begin
        stop.set()
        for thread in running:
            thread.result(timeout=30)
