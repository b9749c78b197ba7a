"""What is in force while a turn runs: tools may change it, and runtimes look at it before each model call."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace

from agentllm.core import Swap

ModelCheck = Callable[[str], str | None]
"""Gives the one name of a model, None where that is as it was given; raises an error of ours where the model must
not be set in this conversation."""


class InForce:
    """The swap of one turn that runs; shared by all tasks and threads of it."""

    def __init__(self, swap: Swap, check: ModelCheck, *, is_stored: bool = False) -> None:
        self._swap = swap
        self._check = check
        self.is_stored = is_stored
        """Whether what is set stays so for the conversation."""

    @property
    def swap(self) -> Swap:
        return self._swap

    def set_model(self, model: str | None) -> None:
        """Have `model` answer from the next model call on; None stands for the agent's own.

        Raises:
            AgentLLMError: it must not be set here; nothing has changed.
        """
        if model is not None:
            model = self._check(model) or model
        self._swap = replace(self._swap, model=model)

    def set_prompt(self, prompt: str | None) -> None:
        """Have `prompt` stand in the place of the agent's own instructions from the next model call on; None or
        nothing but white space brings those back."""
        self._swap = replace(self._swap, prompt=prompt if prompt and prompt.strip() else None)


IN_FORCE: ContextVar[InForce | None] = ContextVar("agentllm_in_force", default=None)
"""That of the turn which runs here."""


def in_force() -> Swap:
    """What is in force now; nothing where no turn runs that can be swapped."""
    found = IN_FORCE.get()
    return found.swap if found is not None else Swap()
