"""The commands `agentllm sessions …`: what is stored of whom, to be read, handed out and deleted."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentllm.errors import ConfigurationError, StoreUnavailable
from agentllm.settings import load_settings

if TYPE_CHECKING:
    from agentllm.conversations.archive import Archive, Conversation, Deleted, Filter

app = typer.Typer(no_args_is_help=True, help="The stored conversations: list, show, export and delete them.")

MOST_LISTED = 100
MOST_AMBIGUOUS = 10
BATCH = 100
FIRST_YEAR = 1970
FORMS = "Give 12h, 30d, 4w or an ISO date or time in UTC."

_SPANS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

Caller = Annotated[str | None, typer.Option(help="A part of the caller, as `list` shows it.")]
Owner = Annotated[str | None, typer.Option(help="The caller, whole, as `list` shows it; `ada` stands for `user:ada`.")]
Agent = Annotated[str | None, typer.Option(help="The agent, without `agno/`.")]
Session = Annotated[str | None, typer.Option(help="The client's id of the session.")]
OlderThan = Annotated[str | None, typer.Option(help="The last turn began before: 12h, 30d, 4w, or an ISO date.")]
NewerThan = Annotated[str | None, typer.Option(help="The last turn began since: 12h, 30d, 4w, or an ISO date.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Id = Annotated[
    str, typer.Argument(metavar="ID", help="The conversation's id, or as much of its beginning as is unique.")
]


@app.command("list")
def list_conversations(
    caller: Caller = None,
    agent: Agent = None,
    session: Session = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = MOST_LISTED,
    as_json: AsJson = False,
) -> None:
    """List the conversations, those with the newest turn first."""
    from agentllm.conversations.display import conversation_json, table

    wanted = _filter(caller=caller, agent=agent, session=session, older_than=older_than, newer_than=newer_than)
    with open_archive() as archive:
        found = archive.conversations(wanted, most=limit + 1)
    if as_json:
        _print_json([conversation_json(conversation) for conversation in found[:limit]])
    elif found:
        for line in table(found[:limit]):
            _echo(line)
    else:
        typer.echo("No conversation is stored that matches.", err=True)
    if len(found) > limit:
        typer.echo(f"There are more than these {limit}. See them with --limit, or fewer with --caller.", err=True)


@app.command()
def show(
    conversation: Id,
    full: Annotated[bool, typer.Option("--full", help="Texts in full.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a conversation: its turns as a tree, with their times, status and texts."""
    from agentllm.conversations.display import conversation_json, tree, turn_json

    with open_archive() as archive:
        found = _one(archive, conversation)
        turns = archive.turns(found.id)
    if as_json:
        _print_json({**conversation_json(found), "turns": [turn_json(turn) for turn in turns]})
        return
    for line in tree(found, turns, full=full):
        _echo(line)


@app.command()
def export(
    conversation: Id,
    branch: Annotated[
        int | None, typer.Option(metavar="TURN", help="Up to this turn; default: the branch continued last.")
    ] = None,
    all_branches: Annotated[
        bool, typer.Option("--all-branches", help="Each branch, with the turn it ends with.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="A file instead of the standard output.")] = None,
) -> None:
    """Print a conversation as JSON, {"messages": […]} in the form of OpenAI's API."""
    from agentllm.conversations.export import branch as branch_of
    from agentllm.conversations.export import branch_ends, newest_branch, openai_messages

    if all_branches and branch is not None:
        raise ConfigurationError("--branch and --all-branches exclude each other. Give one of them.")
    with open_archive() as archive:
        found = _one(archive, conversation)
        turns = [dated.turn for dated in archive.turns(found.id)]
    if branch is not None and branch not in (turn.id for turn in turns):
        raise ConfigurationError(
            f"The conversation {found.id!r} has no turn {branch}. `agentllm sessions show` lists its turns."
        )
    if all_branches:
        ends = branch_ends(turns)
        _print_json(
            {"branches": [{"turn": end, "messages": openai_messages(branch_of(turns, end))} for end in ends]}, output
        )
        return
    end = newest_branch(turns) if branch is None else branch
    _print_json({"messages": [] if end is None else openai_messages(branch_of(turns, end))}, output)


@app.command()
def delete(
    conversations: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids, or as much of their beginnings as is unique.")
    ] = None,
    caller: Owner = None,
    agent: Agent = None,
    session: Session = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete conversations for good: those with these ids, or those of a caller, an agent, a session or a time."""
    by_filter = any(value is not None for value in (caller, agent, session, older_than, newer_than))
    if bool(conversations) == by_filter:
        raise ConfigurationError(
            "Say what to delete: either ids, or --caller, --agent, --session, --older-than or --newer-than."
        )
    with open_archive() as archive:
        if conversations:
            found = list({one.id: one for one in (_one(archive, prefix) for prefix in conversations)}.values())
        else:
            owner = None if caller is None else _owner(archive, caller)
            wanted = _filter(owner=owner, agent=agent, session=session, older_than=older_than, newer_than=newer_than)
            found = archive.conversations(wanted)
        if not found:
            raise ConfigurationError("No conversation is stored that matches, so none is deleted.")
        if not yes:
            _confirm(found)
        _report(archive, sum((archive.delete(one.id) for one in found), start=_nothing()))


@app.command()
def prune(
    older_than: Annotated[
        str | None, typer.Option(help="12h, 30d, 4w, or an ISO date; default: AGENTLLM_RETENTION_DAYS.")
    ] = None,
) -> None:
    """Delete the conversations whose last turn is older, without asking; those with a running turn stay."""
    days = load_settings().retention_days
    if older_than is None and days is None:
        raise ConfigurationError("Say how old: give --older-than, or set AGENTLLM_RETENTION_DAYS.")
    before = moment("--older-than", older_than if older_than is not None else f"{days}d")
    with open_archive() as archive:
        deleted = _nothing()
        while (batch := archive.prune(before, most=BATCH)).conversations:
            deleted += batch
        _report(archive, deleted)


@contextmanager
def open_archive() -> Iterator[Archive]:
    """What is stored where the settings say; a store that fails ends the command with status 1."""
    from agentllm.conversations.archive import Archive
    from agentllm.conversations.urls import store_url

    try:
        with Archive(store_url(load_settings())) as archive:
            yield archive
    except StoreUnavailable as error:
        typer.echo(f"agentllm: {error.message}", err=True)
        raise typer.Exit(1) from None


def _filter(*, older_than: str | None, newer_than: str | None, **exactly: str | None) -> Filter:
    from agentllm.conversations.archive import Filter

    return Filter(
        **exactly,
        older_than=None if older_than is None else moment("--older-than", older_than),
        newer_than=None if newer_than is None else moment("--newer-than", newer_than),
    )


def _owner(archive: Archive, caller: str) -> str:
    """The one caller whom `caller` names: as shown, or by the name alone where only one has it."""
    owners = {one.owner: one.caller for one in archive.conversations()}
    named = [caller] if owners.get(caller) else [owner for owner, parts in owners.items() if parts[-1:] == (caller,)]
    if len(named) > 1:
        raise ConfigurationError(
            f"The caller {caller!r} may be each of {', '.join(map(repr, sorted(named)))}. Give one of these."
        )
    if not named:
        raise ConfigurationError(
            f"No conversation is stored of the caller {caller!r}. `agentllm sessions list` shows the callers in whole."
        )
    return named[0]


def moment(option: str, text: str) -> datetime:
    """The moment that `text` names: hours, days or weeks ago (`12h`, `30d`, `4w`) or an ISO date or time in UTC.

    Raises:
        ConfigurationError: it is neither, or before 1970; the message names `option`.
    """
    span = re.fullmatch(r"(\d{1,6})([hdw])", text)
    try:
        found = datetime.now(UTC) - int(span[1]) * _SPANS[span[2]] if span else datetime.fromisoformat(text)
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigurationError(f"{option} {text!r} is no time. {FORMS}") from None
    if found.year < FIRST_YEAR:
        raise ConfigurationError(f"{option} {text!r} is before the year {FIRST_YEAR}. {FORMS}")
    return found


def _one(archive: Archive, prefix: str) -> Conversation:
    found = archive.with_prefix(prefix, most=MOST_AMBIGUOUS + 1) if prefix else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigurationError(f"There is no conversation {prefix!r}. `agentllm sessions list` shows their ids.")
    ids = ", ".join(one.id for one in found[:MOST_AMBIGUOUS])
    more = " and others" if len(found) > MOST_AMBIGUOUS else ""
    raise ConfigurationError(f"{prefix!r} begins the ids of {ids}{more}. Give more of the one that is meant.")


def _confirm(found: list[Conversation]) -> None:
    from agentllm.conversations.display import table

    for line in table(found[:MOST_LISTED]):
        _echo(line, err=True)
    if len(found) > MOST_LISTED:
        typer.echo(f"... and {len(found) - MOST_LISTED} more", err=True)
    turns = sum(one.turns for one in found)
    typer.confirm(f"Delete {len(found)} conversations with {turns} turns for good?", abort=True, err=True)


def _nothing() -> Deleted:
    from agentllm.conversations.archive import Deleted

    return Deleted()


def _report(archive: Archive, deleted: Deleted) -> None:
    is_scrubbed = archive.scrub()
    typer.echo(f"Deleted {deleted.conversations} conversations with {deleted.turns} turns.", err=True)
    if not is_scrubbed:
        raise StoreUnavailable(
            "They are gone from the store, but not yet from SQLite's log of writes, because another process reads. "
            "Run `agentllm sessions prune` when it has ended."
        )


def _echo(line: str, *, err: bool = False) -> None:
    """Print what may have characters that the terminal's encoding has not."""
    encoding = (sys.stderr if err else sys.stdout).encoding or "ascii"
    typer.echo(line.encode(encoding, "replace").decode(encoding), err=err)


def _print_json(content: object, output: Path | None = None) -> None:
    text = json.dumps(content, indent=2)
    if output is None:
        typer.echo(text)
        return
    try:
        descriptor = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise ConfigurationError(
            f"The file {str(output)!r} cannot be written: {error.strerror}. Name another one with --output."
        ) from None
