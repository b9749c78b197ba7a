"""The tools as the agent has them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from agno.models.base import Model
from agno.tools.function import Function, FunctionCall
from dulwich.objects import Commit, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

from agentllm.agents.release_manager import release_manager
from agentllm.agents.release_manager.tools import ReleaseTools
from tests.agents.release_manager.made_repository import START, MadeRepository

NAMES = ["commits_since_last_release", "next_version", "changelog", "release_checklist", "compare_tags"]


@pytest.fixture
def tools(project: MadeRepository) -> ReleaseTools:
    return ReleaseTools(str(project.path))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, project: MadeRepository) -> None:
    for variable in ("AGENTLLM_MODEL", "GEMINI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OLLAMA_API_BASE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AGNO_TELEMETRY", "false")
    monkeypatch.setenv("RELEASE_MANAGER_REPO", str(project.path))


def test_the_agent_is_built_without_a_repository(
    offline: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RELEASE_MANAGER_REPO", str(tmp_path / "nothing-here"))
    agent = release_manager()
    assert agent.name == "release-manager"
    assert isinstance(agent.tools, list)
    toolkit = agent.tools[0]
    assert isinstance(toolkit, ReleaseTools)
    assert list(toolkit.functions) == NAMES
    assert "RELEASE_MANAGER_REPO" in toolkit.next_version()


def test_the_agent_reads_the_configured_repository(offline: None) -> None:
    agent = release_manager()
    assert isinstance(agent.tools, list)
    toolkit = agent.tools[0]
    assert isinstance(toolkit, ReleaseTools)
    assert "v2.0.0" in toolkit.next_version()


def test_every_tool_can_be_called_without_arguments_and_describes_them(tools: ReleaseTools) -> None:
    for function in tools.functions.values():
        function.process_entrypoint()
        assert function.description
        assert not function.parameters["required"]
        assert all(parameter["description"] for parameter in function.parameters["properties"].values())


@pytest.mark.parametrize(
    ("question", "tool", "part"),
    [
        ("Which commits came since the last release?", "commits_since_last_release", "5 commits since v1.2.0"),
        ("What is the next version?", "next_version", "v2.0.0"),
        ("Write the changelog for the next release", "changelog", "## [2.0.0]"),
        ("Give me the release checklist", "release_checklist", "- [ ]"),
        ("Compare the tags v1.1.0 and v1.2.0", "compare_tags", "v1.1.0 → v1.2.0"),
    ],
)
async def test_the_agent_answers_without_a_language_model(offline: None, question: str, tool: str, part: str) -> None:
    answer = await release_manager().arun(question)
    assert tool in [call.tool_name for call in answer.tools or []]
    assert part in str(answer.content)


async def test_tools_run_off_the_event_loop(offline: None) -> None:
    threads: list[threading.Thread] = []
    function = Function.from_callable(lambda: threads.append(threading.current_thread()), name="where")
    model = release_manager().model
    assert isinstance(model, Model)
    await model.arun_function_call(FunctionCall(function=function, arguments={}))
    assert threads[0] is not threading.main_thread()


async def test_tools_can_read_at_the_same_time(tools: ReleaseTools) -> None:
    answers = await asyncio.gather(*(asyncio.to_thread(tools.next_version) for _ in range(20)))
    assert len(set(answers)) == 1


def test_commits_are_grouped_since_the_last_release(tools: ReleaseTools) -> None:
    text = tools.commits_since_last_release()
    assert text.startswith("**5 commits since v1.2.0**")
    assert "### Features (1)" in text
    assert "**Breaking:** **db:** drop the old index" in text


def test_commits_of_any_range_are_listed(tools: ReleaseTools) -> None:
    text = tools.commits_since_last_release("v1.1.0", "v1.2.0")
    assert "1 commit since v1.1.0" in text
    assert "first fix" in text


def test_a_limit_out_of_bounds_is_brought_into_them(tools: ReleaseTools) -> None:
    assert tools.commits_since_last_release(limit=-5).count("\n- **") == 1
    assert "4 more" not in tools.commits_since_last_release(limit=10**9)


def test_the_next_version_comes_with_its_reason_and_what_breaks(tools: ReleaseTools) -> None:
    text = tools.next_version()
    assert "v2.0.0" in text
    assert "Reason: 1 breaking change since v1.2.0" in text
    assert "drop the old index" in text


def test_after_a_pre_release_the_next_one_is_named(made: MadeRepository) -> None:
    made.commit("feat: x")
    made.tag("v1.0.0-rc.1")
    made.commit("fix: y")
    assert "v1.0.0-rc.2" in ReleaseTools(str(made.path)).next_version()


def test_a_released_head_has_no_next_version(made: MadeRepository) -> None:
    made.commit("feat: x")
    made.tag("v1.0.0")
    text = ReleaseTools(str(made.path)).next_version()
    assert "v1.0.0" in text
    assert "v1.0.1" not in text


def test_the_last_two_releases_are_compared_by_default(tools: ReleaseTools) -> None:
    assert tools.compare_tags().startswith("**v1.1.0 → v1.2.0**")
    assert tools.compare_tags("v1.2.0").startswith("**v1.2.0 → HEAD**")
    assert tools.compare_tags("v1.1.0").startswith("**v1.1.0 → v1.2.0**")
    assert tools.compare_tags(newer="main").startswith("**v1.2.0 → main**")


def test_a_comparison_without_an_earlier_release_says_so(made: MadeRepository) -> None:
    made.commit("feat: x")
    made.tag("v1.0.0")
    assert "v1.0.0" in ReleaseTools(str(made.path)).compare_tags()


def test_hostile_arguments_get_a_message_and_nothing_else(tools: ReleaseTools) -> None:
    for name in ("../../etc/passwd", "--output=x", "HEAD:/etc/passwd", "v1.1.0..v1.2.0", "\x1b]0;x\x07"):
        for answer in (
            tools.commits_since_last_release(name),
            tools.commits_since_last_release(until=name),
            tools.changelog(name),
            tools.changelog("v1.2.0", name),
            tools.compare_tags(name),
            tools.compare_tags("v1.1.0", name),
            tools.release_checklist(name),
        ):
            assert len(answer.splitlines()) == 1
            assert answer.isprintable()


def test_a_repository_without_commits_is_said_to_have_none(made: MadeRepository) -> None:
    tools = ReleaseTools(str(made.path))
    for name in NAMES:
        assert "no commits" in str(getattr(tools, name)())


@pytest.mark.timeout(60)
def test_tens_of_thousands_of_commits_are_counted_exactly(made: MadeRepository) -> None:
    _store_line_of_commits(made, 20_000)
    tools = ReleaseTools(str(made.path))
    assert "**20,000 commits since" in tools.commits_since_last_release()
    changelog = tools.changelog()
    assert "19,800 more" in changelog
    assert len(changelog) < 50_000


def _store_line_of_commits(made: MadeRepository, count: int) -> None:
    tree = Tree()
    commits: list[Commit] = []
    for number in range(count):
        commit = Commit()
        commit.tree = tree.id
        commit.parents = [commits[-1].id] if commits else []
        commit.author = commit.committer = b"Ada <ada@example.org>"
        commit.author_time = commit.commit_time = START + number
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = b"fix: number %d" % number
        commits.append(commit)
    with Repo(str(made.path)) as repo:
        repo.object_store.add_objects([(tree, None), *((commit, None) for commit in commits)])
        repo.refs[Ref(b"refs/heads/main")] = commits[-1].id
