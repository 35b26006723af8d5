import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from calibration.weights.cli import app
from rtdecode.errors import ConfigError


@pytest.fixture
def empty_cache(tmp_path, monkeypatch) -> None:
    """Point this user's cache at an empty folder."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))


@pytest.mark.usefixtures("empty_cache")
def test_list_tells_what_is_there() -> None:
    """The list names the weights, where they would be and that they are not there."""
    result = CliRunner().invoke(app, ["list", "--json"])
    entry, shipped = json.loads(result.stdout)
    assert (shipped["name"], shipped["here"]) == ("deeplight-2d-4mm-sim", True)
    assert Path(shipped["card"]).is_file()
    assert entry["name"] == "deeplight-2d"
    assert entry["here"] is False
    assert len(entry["states"]) == 16
    assert "no licence" in CliRunner().invoke(app, ["list"]).stdout


@pytest.mark.usefixtures("empty_cache")
def test_import_answers_with_the_cached_path(shared_data) -> None:
    """The published file is imported once and listed from then on."""
    file = shared_data / "deeplight2d" / "model-2D_DeepLight_desc-pretrained_model.npy"
    result = CliRunner().invoke(app, ["import", str(file), "--json"])
    assert result.exit_code == 0
    assert "no licence" in result.stderr
    listed, _ = json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)
    assert listed == json.loads(result.stdout)
    assert listed["here"] is True


@pytest.mark.usefixtures("empty_cache")
def test_wrong_file_reaches_the_caller(tmp_path) -> None:
    """A refusal is a ConfigError, which the main program shows."""
    (tmp_path / "x.npy").write_bytes(b"x")
    result = CliRunner().invoke(app, ["import", str(tmp_path / "x.npy")])
    assert isinstance(result.exception, ConfigError)
    assert isinstance(CliRunner().invoke(app, ["fetch", "other"]).exception, ConfigError)


@pytest.mark.parametrize("command", [[], ["import"], ["fetch"], ["list"]])
def test_help_is_enough(command) -> None:
    """Each command explains itself."""
    assert "--help" in CliRunner().invoke(app, [*command, "--help"]).stdout
