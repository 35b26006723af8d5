"""The examples of docs/client.md and docs/stimulus.md follow a run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXAMPLES = FENCE.findall((DOCS / "client.md").read_text(encoding="utf-8"))
PYTHON = [code for language, code in EXAMPLES if language == "python"]
VOLUMES = 4


@pytest.fixture
def run(start, export, scanner, until):
    """Return a function that runs a program during a run of four volumes without the third."""
    service = start()

    def follow(command: list[str], code: str, **options: object) -> list[str]:
        code = code.replace("tcp://127.0.0.1:7801", service.endpoints.outcomes)
        code = code.replace("tcp://127.0.0.1:7802", service.endpoints.control)
        for index in (0, 1):
            export(f"{index}.dcm", scanner.mosaic(index))
        with service.outcomes() as outcomes:  # the program starts late
            assert [next(outcomes).index for _ in range(2)] == [0, 1]
        with subprocess.Popen(
            [*command, code], stdout=subprocess.PIPE, text=True, **options
        ) as program:
            with service.control() as control:
                until(lambda: program.poll() is not None or control.status().subscribers)
                export("3.dcm", scanner.mosaic(3))
                with service.outcomes() as outcomes:
                    assert [next(outcomes).index for _ in range(VOLUMES)][-1] == 3
                control.end()
            if command[0] == "node":  # it never ends
                assert program.stdout is not None
                lines = [next(program.stdout) for _ in range(VOLUMES)]
                program.kill()
            else:
                lines = program.communicate(timeout=30)[0].splitlines()
                assert program.returncode == 0
        service.finish()
        return [line.strip() for line in lines]

    return follow


@pytest.mark.parametrize("code", PYTHON, ids=("blocking", "polling", "asyncio"))
def test_a_python_example_follows_a_run_to_its_end(run, code):
    """The example starts late, gets all outcomes, and reports the missing volume."""
    # Add the control address, because free ports are not consecutive.
    code = re.sub(r'"(tcp://[^"]+7801)"', r'"\1", "tcp://127.0.0.1:7802"', code)
    lines = run([sys.executable, "-c"], code)
    if "the last decision" in code:
        assert lines == ["the last decision was for volume 3"]
    else:
        assert [line.split()[0] for line in lines] == ["0", "1", "2", "3"]


def test_the_javascript_example_catches_up_and_follows(run):
    """The test runs if the machine has node and its zeromq package."""
    node = shutil.which("node")
    probe = ["node", "-e", "require('zeromq')"]
    if node is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("needs node and its package zeromq (npm install zeromq, NODE_PATH)")
    (code,) = (code for language, code in EXAMPLES if language == "javascript")
    lines = run(["node", "-e"], code, env=dict(os.environ))
    assert [line.split()[:2] for line in lines] == [["1", "0"], ["2", "1"], ["3", "2"], ["4", "3"]]
    assert "no decision: gap" in lines[2]


def test_the_stimulus_program_shows_feedback(run, settings, tmp_path):
    """The example of docs/stimulus.md runs with settings for this decoder."""
    ((_, code),) = FENCE.findall((DOCS / "stimulus.md").read_text(encoding="utf-8"))
    protocol = {
        "display": "text",
        "trial_types": {"regulate": "feedback"},
        "blocks": [{"onset_s": 0, "duration_s": 600, "trial_type": "regulate"}],
        "threshold": 0,
        "max_age_s": 600,
    }
    path = tmp_path / "feedback.json"
    path.write_text(json.dumps(protocol), encoding="utf-8")
    code = code.replace('"feedback.toml"', repr(str(path)))
    code = code.replace('"sub-01_run-1"', repr(str(settings.session)))
    lines = run([sys.executable, "-c"], code)
    assert lines[0].split() == ["fixation", "None"]
    assert lines[-1].split()[0] == "feedback"
    words, label = lines[-1].removeprefix("feedback ").split(" None ")
    assert words == label != "none"
