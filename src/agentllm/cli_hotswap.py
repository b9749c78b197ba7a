"""The command `agentllm hotswap`: the model, the prompt and the messages of a conversation with an agent, over A2A."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from agentllm.core import Change
from agentllm.errors import AgentLLMError, AuthenticationFailed, ConfigurationError, InvalidRequest

if TYPE_CHECKING:
    from agentllm.a2a.client import AgentClient

FAILED, UNREACHABLE, NO_AGENT, TOO_LATE, NOT_SET, WRONG_KEY = 1, 3, 4, 5, 6, 7
"""What the command ends with; 2 is that of a command line which cannot be read."""


def hotswap(
    url: Annotated[str, typer.Option(help="The agent's URL, or that of its card.")],
    model: Annotated[
        str | None, typer.Option(help="Set the model: provider/model, or two words; '' is the agent's own.")
    ] = None,
    model_id: Annotated[
        str | None, typer.Argument(metavar="", help="The second word of --model.", show_default=False)
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Set the prompt; '' is the agent's own.")] = None,
    message: Annotated[str | None, typer.Option(help="Say something, once they are set.")] = None,
    config: Annotated[bool, typer.Option("--config", help="Ask what is in force, at the end.")] = False,
    context: Annotated[str, typer.Option(help="The name of the conversation, which goes on in the next call.")] = "cli",
    timeout: Annotated[float, typer.Option(help="Seconds for each answer.", min=0.1, max=86_400)] = 120.0,
    key: Annotated[str | None, typer.Option(help="The key that the server wants.", envvar="A2A_API_KEY")] = None,
) -> None:
    """Set the model and the prompt of a conversation with an A2A agent, and talk to it.

    Ends with 3 where nothing answers, 4 where there is no agent, 5 where it takes too long, 6 where a model or
    prompt is refused, 7 where the key is, and 1 where the agent fails.
    """
    model = _named(model, model_id)
    if model is None and prompt is None and message is None and not config:
        raise ConfigurationError("There is nothing to do. Give --model, --prompt, --message or --config.")
    if importlib.util.find_spec("a2a") is None:
        raise ConfigurationError("This command needs the extra: `pip install 'agentllm[a2a]'`.")
    _check_request(url, key)
    from agentllm.hotswap.grammar import write_control

    texts = [*([] if message is None else [message]), *([write_control(())] if config else [])]
    try:
        asyncio.run(_talk(url, _controls(model, prompt), texts, context, timeout, key))
    except AgentLLMError as error:
        typer.echo(f"agentllm: {error.message}", err=True)
        raise typer.Exit(_exit_code(error)) from None


def _check_request(url: str, key: str | None) -> None:
    """See that a request can be made to `url`, with `key`.

    Raises:
        ConfigurationError: it cannot, whatever is there.
    """
    import httpx

    try:
        urlsplit(url)
        address = httpx.URL(url)
        host, port = address.host.encode("idna"), address.port
        is_right = address.scheme in ("http", "https") and host and (port is None or 0 < port < 65_536)
    except (httpx.InvalidURL, ValueError):
        is_right = False
    if not is_right:
        raise ConfigurationError(f"--url is {url!r}, which is no URL. Write it as http://host:port/path, or https://.")
    if wrong := next((letter for letter in key or "" if not (letter.isascii() and letter.isprintable())), None):
        raise ConfigurationError(
            f"The key has {wrong!r} in it; a key has printable ASCII characters only. Mend --key, or A2A_API_KEY."
        )


def _named(model: str | None, model_id: str | None) -> str | None:
    """The model as provider/model."""
    if model_id is None:
        return model
    if not model or "/" in model:
        raise ConfigurationError(
            f"{model_id!r} is one word too many. Give --model provider/model, or --model provider model; "
            "put quotes around texts."
        )
    return f"{model}/{model_id}"


def _controls(model: str | None, prompt: str | None) -> list[str]:
    """The control messages that set what is given.

    Raises:
        _NotSet: it cannot stand in one.
    """
    from agentllm.hotswap.grammar import write_control

    changes = [Change("model", model)] if model is not None else []
    changes += [Change("prompt", prompt)] if prompt is not None else []
    try:
        return [write_control([change]) for change in changes]
    except InvalidRequest as error:
        raise _NotSet(error.message) from None


async def _talk(
    url: str, controls: Sequence[str], messages: Sequence[str], context: str, timeout: float, key: str | None
) -> None:
    from agentllm.a2a.client import Refused, connect

    async with connect(url, key=key, timeout=timeout) as agent:
        for text in controls:
            try:
                await _say(agent, text, context)
            except Refused as error:
                raise _NotSet(error.message) from None
        for text in messages:
            await _say(agent, text, context)


async def _say(agent: AgentClient, text: str, context: str) -> None:
    try:
        async for piece in agent.say(text, context):
            typer.echo(piece, nl=False)
    finally:
        typer.echo()


class _NotSet(AgentLLMError):
    """A model or a prompt was refused; what was in force before still is."""


def _exit_code(error: AgentLLMError) -> int:
    from agentllm.a2a.client import NoSuchAgent, TooLate, Unreachable

    codes: dict[type[AgentLLMError], int] = {
        Unreachable: UNREACHABLE,
        NoSuchAgent: NO_AGENT,
        TooLate: TOO_LATE,
        AuthenticationFailed: WRONG_KEY,
        _NotSet: NOT_SET,
    }
    return next((code for kind, code in codes.items() if isinstance(error, kind)), FAILED)
