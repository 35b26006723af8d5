"""Keys on disk: made, listed, allowed, and refused with what to do."""

import json
import os
import stat
from pathlib import Path

import pytest

from rtdecode.cli import main
from rtdecode.errors import ConfigError
from rtdecode.keys import allow, client_keys, list_keys, new_client, new_service, service_keys


@pytest.fixture
def service(tmp_path) -> Path:
    """Return a service's folder that allows nobody yet."""
    return new_service(tmp_path / "service").parent


@pytest.fixture
def client(tmp_path, service) -> Path:
    """Return a client's folder that knows the service and is allowed by it."""
    public = new_client(tmp_path / "client", "stimulus-pc")
    allow(service, public)
    (public.parent / "service.key").write_bytes((service / "service.key").read_bytes())
    return public.parent


def test_both_sides_know_each_other(service, client) -> None:
    """What the client shows is what the service allows, and the reverse."""
    mine, theirs = client_keys(client), service_keys(service)
    assert theirs.allowed == {mine.public}
    assert mine.service == theirs.public
    assert mine.name == "stimulus-pc"
    assert len({mine.public, mine.secret, theirs.public, theirs.secret}) == 4


def test_secrets_are_not_shown(service, client, capsys) -> None:
    """Neither in a representation nor in a list."""
    mine, theirs = client_keys(client), service_keys(service)
    assert main(["keys", "list", "--folder", str(service)]) == 0
    assert main(["keys", "list", "--folder", str(client), "--json"]) == 0
    shown = repr(mine) + repr(theirs) + capsys.readouterr().out
    assert mine.public.decode() in shown
    for secret in (mine.secret, theirs.secret):
        assert secret.decode() not in shown


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps files of a user's own folder private")
def test_secret_files_are_their_owners_alone(service, client) -> None:
    """They are made so, and refused otherwise."""
    for path, read in (
        (service / "service.key_secret", lambda: service_keys(service)),
        (client / "stimulus-pc.key_secret", lambda: client_keys(client)),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)
        with pytest.raises(ConfigError, match="chmod 600"):
            read()


def test_keys_are_never_overwritten(service, client) -> None:
    """Making keys twice is refused; so is another client under a name that is allowed."""
    before = service_keys(service)
    with pytest.raises(ConfigError, match="exists already"):
        new_service(service)
    with pytest.raises(ConfigError, match="exists already"):
        new_client(client, "stimulus-pc")
    other = new_client(client.parent / "other", "stimulus-pc")
    with pytest.raises(ConfigError, match="another client with the name stimulus-pc"):
        allow(service, other)
    assert allow(service, client / "stimulus-pc.key").exists()
    assert service_keys(service) == before


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "service", "x" * 65, "a\nb"])
def test_a_clients_name_is_no_path(tmp_path, name) -> None:
    """It becomes a file's name, so it is only letters, digits, dots, dashes and underscores."""
    with pytest.raises(ConfigError, match="cannot be the name"):
        new_client(tmp_path / "keys", name)
    assert not (tmp_path / "keys").exists()


def test_wrong_files_are_named_with_what_to_do(tmp_path, service, client) -> None:
    """Each mistake that is easily made has its remedy."""
    with pytest.raises(ConfigError, match="must not leave its computer"):
        allow(service, client / "stimulus-pc.key_secret")
    with pytest.raises(ConfigError, match="rtdecode keys new"):
        allow(tmp_path, client / "stimulus-pc.key")
    with pytest.raises(ConfigError, match="cannot be read"):
        allow(service, tmp_path / "gone.key")
    junk = tmp_path / "junk.key"
    for content in (b"", b"\0" * 999, b"public-key = 'short'", b'public-key = "' + b"\x7f" * 40):
        junk.write_bytes(content)
        with pytest.raises(ConfigError, match="is not a key file"):
            allow(service, junk)
    junk.write_bytes(b"#" * 100_000)
    with pytest.raises(ConfigError, match="more than"):
        allow(service, junk)
    with pytest.raises(ConfigError, match="--client NAME"):
        client_keys(tmp_path)
    new_client(client, "second")
    with pytest.raises(ConfigError, match="several clients"):
        client_keys(client)
    assert client_keys(client / "second.key_secret").name == "second"
    (client / "service.key").unlink()
    with pytest.raises(ConfigError, match="copy it from"):
        client_keys(client / "second.key_secret")


def test_all_problems_of_a_services_folder_are_told_at_once(service) -> None:
    """A damaged client and a missing secret are two lines; a folder without clients is one."""
    with pytest.raises(ConfigError, match="names no client"):
        service_keys(service)
    (service / "allowed" / "broken.key").write_bytes(b"what")
    (service / "service.key_secret").unlink()
    with pytest.raises(ConfigError) as refused:
        service_keys(service)
    assert len(refused.value.problems) == 2


def test_commands_lead_from_nothing_to_a_client_that_is_allowed(tmp_path, capsys) -> None:
    """The four commands of docs/security.md."""
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    assert main(["keys", "new", "--folder", here]) == 0
    assert main(["keys", "new", "--client", "pc", "--folder", there, "--json"]) == 0
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert Path(made["secret"]).is_file()
    assert main(["keys", "allow", made["public"], "--folder", here]) == 0
    assert "pc is allowed" in capsys.readouterr().out
    assert main(["keys", "list", "--folder", here, "--json"]) == 0
    keys = json.loads(capsys.readouterr().out)["keys"]
    assert [(key["name"], key["kind"]) for key in keys] == [
        ("service", "service"),
        ("pc", "allowed"),
    ]
    assert [k.name for k in list_keys(tmp_path / "there")] == ["pc"]
    assert main(["keys", "new", "--folder", here]) == 2
    assert "exists already" in capsys.readouterr().err
