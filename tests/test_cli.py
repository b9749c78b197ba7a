"""The command line: what it lists, what it refuses to start, and what it starts."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentllm.catalog.discovery import SHIPPED
from agentllm.cli import app
from agentllm.errors import ConfigurationError
from agentllm.keys import hash_of
from agentllm.settings import TEST_KEY, load_settings
from tests.proxy import clean_environment, free_port

AGENT = "from agno.agent import Agent\ndef weather() -> Agent:\n    'The weather of a city.'\n    return Agent()\n"

STARTED = "#!/bin/sh\necho started\nprintf '%s\\n' \"$@\"\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def agentllm(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process, beside whose Python stands a `litellm` that says how it was started."""
    beside = folder / "bin"
    beside.mkdir(exist_ok=True)
    (beside / "litellm").write_text(STARTED)
    (beside / "litellm").chmod(0o755)
    code = f"import sys; sys.executable = {str(beside / 'python')!r}; from agentllm.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class TestAgents:
    def test_it_lists_each_agent_with_what_it_does(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "mine").mkdir()
        (folder / "mine" / "weather.py").write_text(AGENT)
        monkeypatch.setenv("AGENTLLM_AGENTS", str(folder / "mine"))
        result = CliRunner().invoke(app, ["agents"])
        lines = result.stdout.splitlines()
        assert "agno/weather\tThe weather of a city." in lines
        assert {line.partition("\t")[0] for line in lines} == {"agno/weather", *(f"agno/{name}" for name in SHIPPED)}
        assert result.exit_code == 0

    def test_a_broken_agent_is_logged_and_told_by_the_status(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        (folder / "agents").mkdir()
        (folder / "agents" / "wether.py").write_text("1 / 0")
        result = CliRunner().invoke(app, ["agents"])
        assert result.exit_code == 1
        assert "agno/demo" in result.stdout
        assert "wether" not in result.stdout
        assert "ZeroDivisionError" in caplog.text

    @pytest.mark.integration
    def test_a_wrong_setting_ends_it_with_its_message_alone(self, folder: Path) -> None:
        done = agentllm("agents", folder=folder, AGENTLLM_AGENTS="nowhere")
        assert done.returncode == 2
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert "nowhere" in done.stderr


class TestServe:
    def test_it_becomes_the_proxy(self, folder: Path) -> None:
        (folder / "proxy_config.yaml").touch()
        port = str(free_port())
        done = agentllm("serve", "--port", port, folder=folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [
            *("started", "--config", "proxy_config.yaml", "--host", "127.0.0.1", "--port", port)
        ]
        assert f"http://127.0.0.1:{port}" in done.stderr

    def test_another_configuration_can_be_named(self, folder: Path) -> None:
        (folder / "mine.yaml").touch()
        done = agentllm("serve", "--config", "mine.yaml", "--port", str(free_port()), folder=folder)
        assert "mine.yaml" in done.stdout.split()

    def test_a_configuration_that_is_not_there_is_named(self, folder: Path) -> None:
        done = agentllm("serve", "--config", "mine.yaml", folder=folder)
        assert done.returncode == 2
        assert "'mine.yaml'" in done.stderr
        assert "started" not in done.stdout

    def test_a_port_that_is_taken_is_named(self, taken_port: int, folder: Path) -> None:
        (folder / "proxy_config.yaml").touch()
        with pytest.raises(ConfigurationError) as caught:
            CliRunner().invoke(app, ["serve", "--port", str(taken_port)], catch_exceptions=False)
        assert str(taken_port) in caught.value.message
        assert "--port" in caught.value.message

    @pytest.mark.parametrize("port", ["0", "65536", "http"])
    def test_a_port_that_is_none_is_refused(self, port: str) -> None:
        assert CliRunner().invoke(app, ["serve", "--port", port]).exit_code == 2

    def test_a_variable_of_a_dotenv_file_counts(self, folder: Path) -> None:
        (folder / ".env").write_text("AGENTLLM_HISTORY_TURNS=few\n")
        done = agentllm("serve", folder=folder)
        assert done.returncode == 2
        assert "AGENTLLM_HISTORY_TURNS" in done.stderr

    def test_the_environment_wins_over_the_dotenv_file(self, folder: Path) -> None:
        (folder / ".env").write_text("AGENTLLM_HISTORY_TURNS=few\n")
        (folder / "proxy_config.yaml").touch()
        done = agentllm("serve", "--port", str(free_port()), folder=folder, AGENTLLM_HISTORY_TURNS="5")
        assert done.returncode == 0, done.stderr

    def test_a_configuration_error_is_one_line_without_a_traceback(self, folder: Path) -> None:
        done = agentllm("serve", folder=folder, AGENTLLM_XYZZY="1")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) == 1


class TestThePublishedKey:
    """Each start ends at the missing configuration, which is looked for after the key."""

    @staticmethod
    def refused(host: str) -> bool:
        with pytest.raises(ConfigurationError) as caught:
            CliRunner().invoke(app, ["serve", "--host", host], catch_exceptions=False)
        refused = "LITELLM_MASTER_KEY" in caught.value.message
        assert refused or "proxy_config.yaml" in caught.value.message
        return refused

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    def test_it_may_be_used_where_only_this_machine_can_reach_it(self, host: str) -> None:
        assert not self.refused(host)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "localhost.example.org", ""])
    def test_it_may_not_be_used_where_others_can(self, host: str) -> None:
        assert self.refused(host)

    @pytest.mark.parametrize("key", ["", TEST_KEY])
    def test_naming_it_or_naming_none_is_the_same(self, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LITELLM_MASTER_KEY", key)
        assert self.refused("0.0.0.0")

    def test_a_key_of_ones_own_may_be_used_anywhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-of-my-own")
        assert not self.refused("0.0.0.0")

    def test_it_may_be_used_anywhere_by_one_who_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTLLM_ALLOW_TEST_KEY", "1")
        assert not self.refused("0.0.0.0")


class TestKeys:
    @pytest.fixture(autouse=True)
    def file(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("AGENTLLM_KEYS", str(folder / "keys.yaml"))
        return folder / "keys.yaml"

    @staticmethod
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["keys", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    @staticmethod
    def refused(*arguments: str) -> str:
        with pytest.raises(ConfigurationError) as caught:
            CliRunner().invoke(app, ["keys", *arguments], catch_exceptions=False)
        return caught.value.message

    def test_a_key_is_shown_once_and_kept_as_its_hash(self, file: Path) -> None:
        secret = self.run("add", "--user", "ada").strip()
        assert secret.startswith("sk-")
        assert secret not in file.read_text()
        assert secret not in self.run("list", "--json")
        (listed,) = json.loads(self.run("list", "--json"))
        assert (listed["alias"], listed["user"], listed["hash"]) == ("ada", "ada", hash_of(secret))

    def test_a_key_has_what_is_asked_for(self) -> None:
        limits = ("--model", "agno/*", "--model", "x", "--rpm", "5", "--expires", "2090-01-01")
        budget = ("--budget", "2.5", "--budget-duration", "30d")
        self.run("add", "--user", "ada", "--alias", "a", "--team", "t", *limits, *budget)
        (listed,) = json.loads(self.run("list", "--json"))
        del listed["hash"]
        assert listed == {
            "alias": "a",
            "user": "ada",
            "team": "t",
            "models": ["agno/*", "x"],
            "rpm": 5,
            "expires": "2090-01-01T00:00:00Z",
            "budget": 2.5,
            "budget_duration": "30d",
        }

    def test_a_key_goes_by_alias_or_hash(self) -> None:
        for alias in ("one", "two"):
            self.run("add", "--user", "ada", "--alias", alias)
        self.run("revoke", "one")
        (left,) = json.loads(self.run("list", "--json"))
        assert left["alias"] == "two"
        self.run("revoke", left["hash"][:12])
        assert self.run("list", "--json").strip() == "[]"

    def test_the_list_is_a_table(self) -> None:
        self.run("add", "--user", "ada")
        header, row = self.run("list").splitlines()
        assert header.split()[:3] == ["ALIAS", "HASH", "USER"]
        assert row.split()[::2][:2] == ["ada", "ada"]

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (("add", "--user", "a b"), "'a b'"),
            (("add", "--user", "ada", "--rpm", "0"), "rpm 0"),
            (("add", "--user", "ada", "--expires", "soon"), "'soon'"),
            (("revoke", "nobody"), "'nobody'"),
        ],
    )
    def test_what_cannot_be_is_named_and_nothing_written(
        self, arguments: tuple[str, ...], named: str, file: Path
    ) -> None:
        assert named in self.refused(*arguments)
        assert not file.exists()

    @pytest.mark.parametrize("arguments", [("add", "--user", "ada"), ("list",), ("revoke", "ada")])
    def test_without_a_file_the_setting_is_named(
        self, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AGENTLLM_KEYS")
        load_settings.cache_clear()
        assert "AGENTLLM_KEYS" in self.refused(*arguments)

    def test_nothing_heavy_is_imported_for_them(self, folder: Path) -> None:
        code = (
            "import sys; from typer.testing import CliRunner; from agentllm.cli import app\n"
            "assert CliRunner().invoke(app, ['keys', 'add', '--user', 'ada']).exit_code == 0\n"
            "assert not {'litellm', 'agno', 'sqlalchemy'} & set(sys.modules)"
        )
        environment = clean_environment(AGENTLLM_KEYS=str(folder / "keys.yaml"))
        subprocess.run([sys.executable, "-c", code], env=environment, cwd=folder, timeout=60, check=True)

    def test_serve_stops_at_a_broken_file(self, folder: Path, file: Path) -> None:
        (folder / "proxy_config.yaml").touch()
        file.write_text("keys:\n- ada\n")
        done = agentllm("serve", "--port", str(free_port()), folder=folder, AGENTLLM_KEYS=str(file))
        assert done.returncode == 2
        assert f"{file}, line 2" in done.stderr
        assert "started" not in done.stdout


def test_without_a_command_the_help_is_shown() -> None:
    result = CliRunner().invoke(app, [])
    assert "serve" in result.output
    assert "agents" in result.output
