"""The documented session runs unchanged, from calibration to export."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "docs" / name for name in ("calibration.md", "session.md", "own-run.md")]
# Changes for a test: free ports, a fast pace, other weights, and an end without Ctrl-C.
PORTS = ["--outcomes", "tcp://127.0.0.1:*", "--control", "tcp://127.0.0.1:*"]
INSTEAD = {
    "calibrate": ["--weights", "net.safetensors"],
    "check": PORTS,
    "serve": [*PORTS, "--volumes"],
    "monitor": ["--json"],
}


def written(command: str, having: str = "") -> list[str]:
    """Return the words of the first command on the pages with a name and a text in it."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    begun = re.findall(rf"(?:^|`)(rtdecode {command} [^`\n]*\n?)", text, re.MULTILINE)
    found = [line for line in begun if having in line]
    assert found, f"the pages have no rtdecode {command} ... {having}"
    return shlex.split(found[0], comments=True)[1:]


@pytest.fixture
def folder(scanned, tmp_path) -> Path:
    """Return a folder with the files of the documentation."""
    shutil.copytree(scanned / "dicom", tmp_path / "DICOM_FOLDER")
    for name in ("events.tsv", "net.safetensors"):
        shutil.copy(scanned / name, tmp_path)
    (tmp_path / "INCOMING").mkdir()
    return tmp_path


def test_the_documented_session_runs_as_written(folder):
    """Calibrate, serve, watch, play, verify and export; each command succeeds."""
    volumes = len(list((folder / "DICOM_FOLDER").iterdir()))

    def begin(words: list[str], *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "rtdecode", *words, *INSTEAD.get(words[0], []), *more]
        return subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def end(process: subprocess.Popen[str]) -> str:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, f"{process.args}\n{out}\n{err}"
        return out + err

    assert "8 blocks" in end(begin(written("calibrate", "DICOM_FOLDER")))
    checking = written("check", "--stimulus")
    checking.remove("--stimulus")  # nobody is there to answer
    assert "ready" in end(begin(checking))
    serve = written("serve", "--session sub-01_run-1\n")
    serving = begin(serve, str(volumes))
    assert serving.stderr is not None
    while not serving.stderr.readline().startswith("watch with"):
        assert serving.poll() is None
    watching = begin(written("monitor"))
    end(begin(written("replay", "DICOM_FOLDER"), "--speed", "max"))
    assert f"{volumes - 4} decisions" in end(serving)
    lines = [json.loads(line) for line in end(watching).splitlines() if line.startswith("{")]
    assert [line["outcome"]["index"] for line in lines] == list(range(volumes))
    session = folder / serve[-1]
    assert "CRED-nf" in (session / "session_report.html").read_text(encoding="utf-8")
    assert f"{volumes} outcomes are as recorded" in end(begin(written("replay", "--verify")))
    end(begin(written("export", "--bids")))
    assert list((folder / "derivatives" / "rtdecode").rglob("*_desc-decoding_timeseries.tsv"))
    copying = [session.name if w == "SESSION" else w for w in written("export", "--deidentify")]
    assert f"{volumes} outcomes" in end(begin(copying))
