"""What `AGENTLLM_*` variables mean, and that a wrong one is said by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentllm.errors import ConfigurationError
from agentllm.settings import PREFIX, Settings, load_settings


def test_a_fresh_machine_needs_no_setting() -> None:
    settings = load_settings()
    assert settings.agents is None
    assert settings.data_dir == Path("data")
    assert settings.model is None
    assert settings.task_model is None
    assert settings.swap_models is None
    assert settings.secret is None
    assert settings.run_timeout == 600
    assert settings.history_turns == 20
    assert settings.allow_test_key is False
    assert settings.show_work is False
    assert settings.fetch_urls is False
    assert settings.keys is None
    assert settings.proxy_config is None
    assert settings.trusted_frontends == ("master",)
    assert settings.openwebui_jwt_secret is None
    assert settings.public_url is None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("data_dir", "/var/lib/agentllm", Path("/var/lib/agentllm")),
        ("keys", "/etc/agentllm/keys.yaml", Path("/etc/agentllm/keys.yaml")),
        ("proxy_config", "/etc/agentllm/proxy.yaml", Path("/etc/agentllm/proxy.yaml")),
        ("model", "gemini/gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        ("task_model", "gemini-2.5-flash", "gemini-2.5-flash"),
        ("swap_models", "gemini-2.5-flash, openai/*,offline", ("gemini-2.5-flash", "openai/*", "offline")),
        ("run_timeout", "1.5", 1.5),
        ("run_timeout", "86400", 86_400),
        ("history_turns", "1", 1),
        ("history_turns", "1000", 1_000),
        ("fetch_urls", "1", True),
        ("show_work", "1", True),
        ("allow_test_key", "1", True),
        ("allow_test_key", "false", False),
        ("public_url", "https://agents.example.org/ai", "https://agents.example.org/ai"),
    ],
)
def test_a_variable_sets_its_setting(name: str, text: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", text)
    assert getattr(load_settings(), name) == value


def test_upper_and_lower_case_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("agentllm_history_turns", "7")
    assert load_settings().history_turns == 7


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_variable_is_an_unset_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", "")
    assert load_settings() == Settings()


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    monkeypatch.setenv("AGENTLLM_HISTORY_TURNS", "7")
    assert load_settings() is settings


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        load_settings().history_turns = 7


def test_other_programs_variables_are_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTORY_TURNS", "7")
    monkeypatch.setenv("NOT_AGENTLLM_HISTORY_TURNS", "7")
    assert load_settings().history_turns == 20


class TestAgents:
    def test_one_path_stands_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTLLM_AGENTS", "/srv/agents")
        assert load_settings().agents == (Path("/srv/agents"),)

    def test_several_paths_are_separated_as_in_PATH(self, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802
        monkeypatch.setenv("AGENTLLM_AGENTS", os.pathsep.join(["a", "", " ", "b.yaml"]))
        assert load_settings().agents == (Path("a"), Path("b.yaml"))

    def test_a_tilde_is_the_home_folder(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("AGENTLLM_AGENTS", "~/agents")
        assert load_settings().agents == (tmp_path / "agents",)

    def test_only_separators_mean_no_place_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTLLM_AGENTS", os.pathsep)
        assert load_settings().agents == ()

    @given(st.lists(st.text("ab .é/-", min_size=1).filter(str.strip)))
    def test_paths_come_out_as_they_were_joined(self, parts: list[str]) -> None:
        assert Settings.model_validate({"agents": os.pathsep.join(parts)}).agents == tuple(map(Path, parts))


@pytest.mark.parametrize(
    ("text", "names"), [("webui", ("webui",)), (" master , webui,,", ("master", "webui")), (",", ())]
)
def test_trusted_front_ends_are_parted_by_commas(
    text: str, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTLLM_TRUSTED_FRONTENDS", text)
    assert load_settings().trusted_frontends == names


class TestBadValues:
    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("AGENTLLM_TASK_MODEL", "agno/demo"),
            ("AGENTLLM_RUN_TIMEOUT", "soon"),
            ("AGENTLLM_RUN_TIMEOUT", "0"),
            ("AGENTLLM_RUN_TIMEOUT", "-1"),
            ("AGENTLLM_RUN_TIMEOUT", "86401"),
            ("AGENTLLM_RUN_TIMEOUT", "nan"),
            ("AGENTLLM_RUN_TIMEOUT", "inf"),
            ("AGENTLLM_HISTORY_TURNS", "0"),
            ("AGENTLLM_HISTORY_TURNS", "1001"),
            ("AGENTLLM_HISTORY_TURNS", "2.5"),
            ("AGENTLLM_ALLOW_TEST_KEY", "perhaps"),
            ("AGENTLLM_PUBLIC_URL", "agents.example.org"),
            ("AGENTLLM_PUBLIC_URL", "https://agents.example.org/?a=1"),
        ],
    )
    def test_the_variable_and_its_value_are_named(
        self, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(ConfigurationError) as caught:
            load_settings()
        assert variable in caught.value.message
        assert repr(value) in caught.value.message

    def test_all_of_them_are_named_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTLLM_RUN_TIMEOUT", "soon")
        monkeypatch.setenv("AGENTLLM_HISTORY_TURNS", "few")
        with pytest.raises(ConfigurationError) as caught:
            load_settings()
        assert "AGENTLLM_RUN_TIMEOUT" in caught.value.message
        assert "AGENTLLM_HISTORY_TURNS" in caught.value.message

    @pytest.mark.parametrize("variable", ["AGENTLLM_SECRET", "AGENTLLM_OPENWEBUI_JWT_SECRET"])
    def test_a_secret_that_is_too_short_is_not_shown(self, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(variable, "hunter2")
        with pytest.raises(ConfigurationError) as caught:
            load_settings()
        assert variable in caught.value.message
        assert "hunter2" not in caught.value.message
        assert caught.value.__cause__ is None


def test_a_secret_is_kept_out_of_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTLLM_SECRET", "correct horse battery")
    settings = load_settings()
    assert settings.secret is not None
    assert settings.secret.get_secret_value() == "correct horse battery"
    assert "horse" not in repr(settings)


class TestUnknownVariables:
    def test_one_that_is_nearly_right_is_corrected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTLLM_HISTORY_TURN", "7")
        with pytest.raises(ConfigurationError) as caught:
            load_settings()
        assert "AGENTLLM_HISTORY_TURN." in caught.value.message
        assert "AGENTLLM_HISTORY_TURNS?" in caught.value.message

    def test_one_that_is_far_off_is_answered_with_all_there_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTLLM_XYZZY", "7")
        with pytest.raises(ConfigurationError) as caught:
            load_settings()
        assert all(f"{PREFIX}{name.upper()}" in caught.value.message for name in Settings.model_fields)

    def test_its_value_is_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTLLM_SECRETS", "hunter2")
        with pytest.raises(ConfigurationError) as caught:
            load_settings()
        assert "hunter2" not in caught.value.message
