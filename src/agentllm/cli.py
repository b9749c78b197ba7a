"""The command line: `agentllm serve` and `agentllm agents`."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv

from agentllm.errors import ConfigurationError
from agentllm.settings import TEST_KEY, Settings, load_settings

DEFAULT_PORT = 8890

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command line; a configuration error ends it with status 2 and its message alone."""
    load_dotenv(Path.cwd() / ".env")
    try:
        app()
    except ConfigurationError as error:
        typer.echo(f"agentllm: {error.message}", err=True)
        sys.exit(2)


@app.callback()
def cli() -> None:
    """Agents as ordinary OpenAI-compatible models behind a LiteLLM proxy."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = DEFAULT_PORT,
    config: Annotated[Path, typer.Option(help="LiteLLM's configuration.")] = Path("proxy_config.yaml"),
) -> None:
    """Start the proxy, after checking what would keep it from working."""
    from agentllm.conversations import open_conversations

    settings = load_settings()
    _check_key(host, settings)
    if not config.is_file():
        raise ConfigurationError(f"There is no configuration {str(config)!r}. Name one with --config.")
    _check_port(host, port)
    open_conversations(settings)
    litellm = Path(sys.executable).with_name("litellm")
    arguments = [str(litellm), "--config", str(config), "--host", host, "--port", str(port)]
    typer.echo(f"AgentLLM starts on http://{host}:{port} (about 15 seconds).", err=True)
    os.execv(litellm, arguments)  # noqa: S606 - the arguments are ours, and no shell reads them


@app.command()
def agents() -> None:
    """List the agents that can be served; log the broken ones and end with status 1 if there are any."""
    from agentllm.catalog import load_catalog
    from agentllm.gateway.registration import why_not

    catalog = load_catalog(load_settings(), why_not=why_not)
    for agent in catalog:
        typer.echo(f"agno/{agent.name}\t{agent.description}")
    if catalog.broken:
        raise typer.Exit(1)


def _check_key(host: str, settings: Settings) -> None:
    """Keep the key that everyone can read from being used where everyone can reach it."""
    uses_test_key = (os.environ.get("LITELLM_MASTER_KEY") or TEST_KEY) == TEST_KEY
    if uses_test_key and not _is_loopback(host) and not settings.allow_test_key:
        raise ConfigurationError(
            f"The published test key would be valid on {host}, which others can reach. "
            "Set LITELLM_MASTER_KEY to a key of your own, or AGENTLLM_ALLOW_TEST_KEY=1 if that is wanted."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} of {host} cannot be used: {error.strerror}. Choose another one with --port."
            ) from None
