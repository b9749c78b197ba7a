"""Agno's log without what was said: it prints the arguments of tools that fail, and what their errors quote of them."""

from __future__ import annotations

import logging
import re
import traceback

from agno.utils.log import LOGGER_NAME, TEAM_LOGGER_NAME, WORKFLOW_LOGGER_NAME

_TELLING = re.compile(
    r"Could not run function \w*|Function (?=.* not found)|Unable to (?:decode|parsing) function arguments"
    r"|Function arguments are not a valid JSON object|Error in (?:pre|post)-hook callback"
    r"|\w+: ignored tool-call arguments|Could not process audio snippet|Failed to (?:load|download) \w+ from"
    r"|Member continue_run failed|Error in \w+ agent|\w+ agent '[^']*' (?:attempt|hit a non-retryable error)",
    re.DOTALL,
)
"""How Agno's messages about calls of tools and other frameworks begin; what follows holds arguments, or is theirs."""


def hide_content() -> None:
    """Have Agno's loggers tell which tool failed, with which error and where, and not with what."""
    for name in (LOGGER_NAME, TEAM_LOGGER_NAME, WORKFLOW_LOGGER_NAME):
        logging.getLogger(name).addFilter(_hide)


def _hide(record: logging.LogRecord) -> bool:
    if isinstance(record.msg, BaseException):
        error = record.msg
        record.msg, record.args, record.exc_info = f"{type(error).__name__} at:\n{_places(error)}", (), None
    elif found := _TELLING.match(str(record.msg)):
        raised = record.exc_info[1] if record.exc_info else None
        where = f", {type(raised).__name__} at:\n{_places(raised)}" if raised else ""
        record.msg, record.args, record.exc_info = f"{found[0].strip()} (its content is not shown){where}", (), None
    return True


def _places(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return "\n".join(f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
