"""Which names of commits are taken."""

from __future__ import annotations

from contextlib import suppress

import pytest
from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentllm.agents.release_manager.repository import open_repository
from agentllm.agents.release_manager.revisions import resolve
from agentllm.errors import InvalidRequest
from tests.agents.release_manager.made_repository import MadeRepository


def _resolved(made: MadeRepository, revision: str) -> str:
    with open_repository(str(made.path)) as repository:
        return resolve(repository, revision).id.decode()


def test_tags_branches_head_and_hashes_name_commits(made: MadeRepository) -> None:
    first = made.commit("one")
    made.tag("v1.0.0")
    made.tag("v1.0.0-signed", annotated=True)
    second = made.commit("two", branch="feature/näme")
    assert _resolved(made, "v1.0.0") == first
    assert _resolved(made, "v1.0.0-signed") == first
    assert _resolved(made, "main") == first
    assert _resolved(made, "HEAD") == first
    assert _resolved(made, "feature/näme") == second
    assert _resolved(made, second) == second
    assert _resolved(made, second[:7].upper()) == second


def test_a_tag_is_preferred_to_a_branch_and_both_to_a_hash(made: MadeRepository) -> None:
    first = made.commit("one")
    second = made.commit("two")
    third = made.commit("three")
    made.tag(third[:8], first)
    made.tag("twice", second)
    made.commit("four", branch="twice")
    assert _resolved(made, third[:8]) == first
    assert _resolved(made, "twice") == second


def test_steps_lead_to_parents(made: MadeRepository) -> None:
    first = made.commit("one")
    second = made.commit("two")
    side = made.commit("side", branch="side", parents=[first])
    made.commit("merge", parents=[second, side])
    assert _resolved(made, "HEAD~2") == first
    assert _resolved(made, "HEAD^") == second
    assert _resolved(made, "HEAD^2") == side
    assert _resolved(made, "HEAD^2~1") == first
    assert _resolved(made, "main^0") == _resolved(made, "main")


@pytest.mark.parametrize("revision", ["HEAD~2", "HEAD^2", "HEAD~10001", "HEAD~99999"])
def test_steps_beyond_the_history_are_refused(made: MadeRepository, revision: str) -> None:
    made.commit("one")
    made.commit("two")
    with pytest.raises(InvalidRequest):
        _resolved(made, revision)


@pytest.mark.parametrize(
    "revision",
    [
        "",
        "-v1.0.0",
        "--upload-pack=touch x",
        "--output=/tmp/x",
        "v1.0.0..main",
        "../../etc/passwd",
        "../HEAD",
        "refs/../HEAD",
        "/etc/passwd",
        "HEAD:pyproject.toml",
        ":/fix",
        "main@{0}",
        "@{upstream}",
        "@",
        "^main",
        "HEAD^{/fix}",
        "HEAD^!",
        "v1.0.0\n",
        "v1.0.0\0",
        "v1.0.0 main",
        "v1.*",
        "a\\b",
        "\x1b[31m",
        "\ud800",
        "v1.0.0.lock",
        "main/",
        "abc",
        "x" * 201,
        "HEAD" + "~" * 400,
    ],
)
def test_hostile_names_are_refused_with_the_tags_there_are(made: MadeRepository, revision: str) -> None:
    made.commit("one")
    made.tag("v1.0.0")
    with pytest.raises(InvalidRequest) as refused:
        _resolved(made, revision)
    assert "v1.0.0" in str(refused.value).rpartition(":")[2]
    assert len(str(refused.value)) < 400
    assert refused.value.message.isprintable()


def test_a_short_hash_of_two_commits_is_refused(made: MadeRepository) -> None:
    seen: dict[str, str] = {}
    for number in range(2_000):
        id_ = made.commit(f"{number}", branch=None, parents=[])
        if id_[:4] in seen:
            break
        seen[id_[:4]] = id_
    with pytest.raises(InvalidRequest):
        _resolved(made, id_[:4])
    assert _resolved(made, id_[:12]) == id_


def test_tags_of_no_commit_and_unknown_names_are_refused(made: MadeRepository) -> None:
    made.commit("one")
    made.tag("blob", made.blob(b"x"), annotated=True)
    for revision in ("blob", "nothing", "deadbeef", made.blob(b"x")):
        with pytest.raises(InvalidRequest):
            _resolved(made, revision)


def test_a_list_of_many_tags_is_cut_and_counted(made: MadeRepository) -> None:
    commit = made.commit("one")
    with Repo(str(made.path)) as repo:
        for number in range(30):
            repo.refs[Ref(b"refs/tags/v1.%d.0" % number)] = ObjectID(commit.encode())
    with pytest.raises(InvalidRequest) as refused:
        _resolved(made, "nothing")
    assert "v1.29.0, v1.28.0" in str(refused.value)
    assert "20 more" in str(refused.value)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(revision=st.text(max_size=60))
def test_any_text_names_a_commit_or_is_refused(made: MadeRepository, revision: str) -> None:
    if not (made.git / "refs" / "heads" / "main").exists():
        made.commit("one")
    with suppress(InvalidRequest):
        assert len(_resolved(made, revision)) == 40
