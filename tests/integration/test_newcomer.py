"""A fresh machine: nothing is configured, and what the README says works as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.proxy import ROOT, Proxy, clean_environment, free_port

MODELS = ["agno/assistant", "agno/demo", "agno/release-manager", "gemini-2.5-flash", "gemini-2.5-pro"]
README = (ROOT / "README.md").read_text()
PAGE = (ROOT / "docs" / "openai.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    """The examples in one language, of the README or another page."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


PYTHON = [*blocks("python"), *blocks("python", PAGE)]


@pytest.fixture(scope="module", params=[("agentllm", "serve"), ("litellm",)], ids=["serve", "litellm"])
def fresh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The proxy as both of the README's commands start it, in a folder of its own."""
    with Proxy(tmp_path_factory.mktemp("fresh"), command=request.param) as proxy:
        yield proxy


def test_the_models_are_listed(fresh: Proxy) -> None:
    with OpenAI(base_url=fresh.base_url, api_key=fresh.key) as client:
        assert sorted(model.id for model in client.models.list()) == MODELS


def test_the_offline_model_says_what_it_is_once(fresh: Proxy) -> None:
    assert "GEMINI_API_KEY" in fresh.log
    messages: list[str] = []
    with OpenAI(base_url=fresh.base_url, api_key=fresh.key) as client:
        for text in ("My name is Ada.", "What is my name?"):
            answer = client.chat.completions.create(
                model="agno/demo",
                messages=[{"role": "user", "content": text}],
                extra_headers={"x-agentllm-session-id": "fresh"},
            )
            messages.append(answer.choices[0].message.content or "")
    assert "offline model" in messages[0].lower().partition("\n")[0]
    assert "GEMINI_API_KEY" in messages[0].partition("\n")[0]
    assert "offline model" not in messages[1].lower()
    assert "Ada" in messages[1]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_the_offline_model_answers_in_a_form_that_is_asked_for(fresh: Proxy, stream: bool) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    asked: Any = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    with OpenAI(base_url=fresh.base_url, api_key=fresh.key, max_retries=0) as client:
        answer: Any = client.chat.completions.create(
            model="agno/demo", messages=[{"role": "user", "content": "?"}], response_format=asked, stream=stream
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer) if stream else None
    said = json.loads(text if text is not None else answer.choices[0].message.content)
    assert "offline model" in said["name"].lower()


def test_a_warning_says_that_the_key_is_published(fresh: Proxy) -> None:
    assert "published test key" in fresh.log


def test_the_readme_s_curl_commands_work(fresh: Proxy) -> None:
    for block in blocks("bash"):
        script = f"set -euo pipefail\n{_here(block, fresh)}".replace("curl ", "curl --silent --fail-with-body ")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "agno/" in done.stdout


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_the_python_of_the_documentation_works(fresh: Proxy, number: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _here(PYTHON[number], fresh)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert done.returncode == 0, done.stderr
    assert "391" in done.stdout or "17 * 23" not in PYTHON[number]


def _here(text: str, proxy: Proxy) -> str:
    return text.replace("http://127.0.0.1:8890", proxy.url)


def test_the_readme_s_agents_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "weather.py").write_text(next(block for block in blocks("python") if "agents/weather.py" in block))
    (tmp_path / "weather.py").write_text((folder / "weather.py").read_text().replace('"weather"', '"meteorologist"'))
    (tmp_path / "agents.yaml").write_text(blocks("yaml")[0])
    agentllm = Path(sys.executable).with_name("agentllm")
    done = subprocess.run(
        [str(agentllm), "agents"], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
        env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert {"agno/weather", "agno/haiku", "agno/meteorologist", "agno/demo"} <= set(names)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("AGENTLLM_TYPO", "1", "AGENTLLM_TYPO"),
        ("AGENTLLM_RUN_TIMEOUT", "soon", "AGENTLLM_RUN_TIMEOUT"),
        ("AGENTLLM_AGENTS", "/nowhere/at/all", "/nowhere/at/all"),
        ("AGENTLLM_DATA_DIR", "/proc/agentllm", "AGENTLLM_DATA_DIR"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(tmp_path: Path, variable: str, value: str, named: str) -> None:
    with pytest.raises(RuntimeError, match=re.escape(named)), Proxy(tmp_path, {variable: value}, command=("litellm",)):
        pass


def test_a_port_that_is_taken_is_said_before_anything_starts(fresh: Proxy, tmp_path: Path) -> None:
    port = fresh.url.rpartition(":")[2]
    agentllm = Path(sys.executable).with_name("agentllm")
    command = [str(agentllm), "serve", "--port", port, "--config", str(ROOT / "proxy_config.yaml")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=clean_environment()
    )
    assert done.returncode == 2
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_two_workers_list_and_serve_the_agents(tmp_path: Path) -> None:
    command = ("litellm", "--run_gunicorn", "--num_workers", "2")
    with Proxy(tmp_path, command=command) as proxy:
        headers = {"Authorization": f"Bearer {proxy.key}"}
        for _ in range(12):
            with httpx.Client(base_url=proxy.base_url, headers=headers, timeout=30) as client:
                assert sorted(model["id"] for model in client.get("/models").json()["data"]) == MODELS
                body = {"model": "agno/demo", "messages": [{"role": "user", "content": "hello"}]}
                assert client.post("/chat/completions", json=body).status_code == 200


def test_the_test_key_is_refused_where_others_can_reach_it(tmp_path: Path) -> None:
    agentllm = Path(sys.executable).with_name("agentllm")
    command = [str(agentllm), "serve", "--host", "0.0.0.0", "--port", str(free_port())]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=clean_environment()
    )
    assert done.returncode == 2
    assert "LITELLM_MASTER_KEY" in done.stderr


def test_every_setting_is_in_the_example_with_an_explanation() -> None:
    from agentllm.settings import PREFIX, PROVIDER_VARIABLES, Settings

    example = (ROOT / ".env.example").read_text()
    for name in [*(f"{PREFIX}{field.upper()}" for field in Settings.model_fields), *PROVIDER_VARIABLES]:
        assert re.search(rf"^(# )?{name}=\S*\s+# \w", example, re.MULTILINE), name
