"""The README's session, from calibration to export, run as it is written there."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
# What a test may not do as it is written: known ports, the scanner's pace, weights from their
# authors' server, and waiting for an operator's Ctrl-C.
INSTEAD = {
    "calibrate": ["--weights", "net.safetensors"],
    "serve": ["--outcomes", "tcp://127.0.0.1:*", "--control", "tcp://127.0.0.1:*", "--volumes"],
    "monitor": ["--json"],
}


def written(command: str, having: str = "") -> list[str]:
    """Return the words of the README's first command of a name, with something in it."""
    text = README.read_text(encoding="utf-8")
    found = re.findall(rf"(?:^|`)(rtdecode {command} [^`\n]*{having}[^`\n]*)", text, re.MULTILINE)
    assert found, f"the README has no rtdecode {command} ... {having}"
    return shlex.split(found[0], comments=True)[1:]


@pytest.fixture
def folder(scanned, tmp_path) -> Path:
    """Return a folder in which everything has the README's names."""
    shutil.copytree(scanned / "dicom", tmp_path / "DICOM_FOLDER")
    for name in ("events.tsv", "net.safetensors"):
        shutil.copy(scanned / name, tmp_path)
    (tmp_path / "INCOMING").mkdir()
    return tmp_path


def test_the_readmes_session_runs_as_written(folder):
    """Calibrate, serve, watch, play, verify and export; each command ends well."""
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

    assert "8 blocks" in end(begin(written("calibrate")))
    serving = begin(written("serve"), str(volumes))
    assert serving.stderr is not None
    while not serving.stderr.readline().startswith("watch with"):
        assert serving.poll() is None
    watching = begin(written("monitor"))
    end(begin(written("replay"), "--speed", "max"))
    assert f"{volumes - 4} decisions" in end(serving)
    lines = [json.loads(line) for line in end(watching).splitlines() if line.startswith("{")]
    assert [line["outcome"]["index"] for line in lines] == list(range(volumes))
    assert f"{volumes} outcomes are as recorded" in end(begin(written("replay", "--verify")))
    session = written("serve")[-1]
    exporting = [session if w == "SESSION" else w for w in written("export", "--deidentify")]
    assert f"{volumes} outcomes" in end(begin(exporting))
