"""The project's chores. All run in the environment of `uv run`, so they start at once."""

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["test"]

ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "AGNO_TELEMETRY": "false",
    "PYTHONDONTWRITEBYTECODE": "",  # the tests start many processes: what they import is compiled once
}


ALONE = ("--ignore=tests/integration", "-m", "not integration and not postgres")


@nox.session
def test(session: nox.Session) -> None:
    """All tests that need no proxy process and no server."""
    session.run("pytest", *ALONE, *(session.posargs or ("--numprocesses=auto",)), env=ENVIRONMENT)


@nox.session
def coverage(session: nox.Session) -> None:
    """Branch coverage of the parts that must not fail, by their own tests."""
    of_these = ("tests/gateway", "tests/catalog", "tests/test_core.py")
    session.run("pytest", "--numprocesses=auto", "--cov", "--cov-report=", *ALONE, *of_these, env=ENVIRONMENT)
    session.run("coverage", "report")


@nox.session
def integration(session: nox.Session) -> None:
    """The tests that start a real proxy or PostgreSQL and talk to it."""
    session.run("pytest", "-m", "integration or postgres", *session.posargs, env=ENVIRONMENT)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and common mistakes."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Types, strictly."""
    session.run("mypy")


@nox.session(name="format")
def format_code(session: nox.Session) -> None:
    """Rewrite the code in the project's style."""
    session.run("ruff", "check", "--fix", ".")
    session.run("ruff", "format", ".")


@nox.session
def proxy(session: nox.Session) -> None:
    """The proxy, on http://127.0.0.1:8890 unless arguments of `agentllm serve` say otherwise."""
    session.run("agentllm", "serve", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed and memory beside the peers, as ratios of one run; writes bench/results.md."""
    session.run("python", "-m", "bench", *session.posargs, env=ENVIRONMENT)
