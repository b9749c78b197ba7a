"""The release manager through the running proxy, on a git repository that the test makes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.agents.release_manager.made_repository import realistic
from tests.integration.conftest import llm_environment
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall


@pytest.fixture(scope="module")
def manager(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    folder = tmp_path_factory.mktemp("release")
    realistic(folder / "project")
    environment = {**llm_environment(running_llm), "RELEASE_MANAGER_REPO": str(folder / "project")}
    with (
        Proxy(folder / "proxy", environment) as proxy,
        OpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=0, timeout=30) as client,
    ):
        yield client


def results(client: OpenAI, llm: ScriptedLLM, *calls: ToolCall) -> str:
    """What the model is told that its calls of tools gave."""
    llm.reset()
    llm.script(Reply.calling(*calls), "Done.")
    answer = client.chat.completions.create(
        model="agno/release-manager", messages=[{"role": "user", "content": "Plan the next release."}]
    )
    assert answer.choices[0].message.content == "Done."
    requests = llm.requests()
    assert requests[0].model == "gemini-2.5-flash"
    return json.dumps(requests[-1].body["contents"][-1], ensure_ascii=False)


def test_it_plans_a_release_from_the_commits(manager: OpenAI, running_llm: ScriptedLLM) -> None:
    told = results(
        manager,
        running_llm,
        ToolCall.of("commits_since_last_release"),
        ToolCall.of("next_version"),
        ToolCall.of("changelog"),
        ToolCall.of("release_checklist"),
    )
    for heading in ("Added", "Fixed", "v2.0.0"):
        assert heading in told


def test_it_reads_nothing_outside_the_repository(manager: OpenAI, running_llm: ScriptedLLM) -> None:
    for hostile in ("../../etc/passwd", "--output=/tmp/x", "HEAD:../secret", "v1.0.0; ls"):
        told = results(manager, running_llm, ToolCall.of("compare_tags", older=hostile, newer="HEAD"))
        assert "root:" not in told
        assert "add search" not in told
