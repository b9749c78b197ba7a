"""Agno's log without what was said: it prints the arguments of tools that fail, and what errors say."""

from __future__ import annotations

import logging
import re
import sys

from agno.utils.log import LOGGER_NAME, TEAM_LOGGER_NAME, WORKFLOW_LOGGER_NAME

from agentllm.errors import causes, origin

_TELLING = re.compile(
    r"Could not run function \w*|Function (?=.* not found)|Unable to (?:decode|parsing) function arguments"
    r"|Function arguments are not a valid JSON object|Error in (?:pre|post)-hook callback"
    r"|\w+: ignored tool-call arguments|Could not process audio snippet|Failed to (?:load|download) \w+ from"
    r"|Member continue_run failed|Error in \w+ agent|\w+ agent '[^']*' (?:attempt|hit a non-retryable error)",
    re.DOTALL,
)
"""How Agno's messages about calls of tools and other frameworks begin; what follows holds arguments, or is theirs."""


def hide_content() -> None:
    """Have Agno's loggers tell what failed, with which error and where, and not with what."""
    for name in (LOGGER_NAME, TEAM_LOGGER_NAME, WORKFLOW_LOGGER_NAME):
        logging.getLogger(name).addFilter(_hide)


def _hide(record: logging.LogRecord) -> bool:
    said = record.getMessage()
    raised = record.msg if isinstance(record.msg, BaseException) else (record.exc_info or sys.exc_info())[1]
    told = _told(said, raised)
    if told != said or record.exc_info:
        record.msg = told if raised is None else f"{told}, {origin(raised)}"
        record.args, record.exc_info = (), None
    return True


def _told(said: str, raised: BaseException | None) -> str:
    if found := _TELLING.match(said):
        return f"{found[0].strip()} (its content is not shown)"
    return said if raised is None else _without_texts(said, raised)


def _without_texts(said: str, error: BaseException) -> str:
    """`said` with the name of each error where what it says was."""
    for one in causes(error):
        if text := str(one):
            said = said.replace(text, type(one).__name__)
    return said
