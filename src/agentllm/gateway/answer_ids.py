"""The ids of answers, as clients get them and give them back.

A turn's answer is `chatcmpl-<turn>`. In LiteLLM's Responses API the same is `resp_<…>`, with the provider
and the deployment in it, and its proxy encrypts that once more together with the caller's user and team.
"""

from __future__ import annotations

from typing import NamedTuple

from litellm.responses.utils import ResponsesAPIRequestUtils

from agentllm.core import FAMILIES

ANSWER_ID_PREFIX = "chatcmpl-"

_RESPONSE_PREFIX = "resp_"
_IN_PLAIN = "litellm_proxy:responses_api:response_id:"
"""How LiteLLM's proxy begins what it encrypts; the user and the team follow behind semicolons."""


class AnswerId(NamedTuple):
    """What an id of an answer says: the turn, and the provider where it names one."""

    turn: str
    provider: str | None = None

    @property
    def is_of_an_agent(self) -> bool:
        return self.provider in FAMILIES


def read_answer_id(given: str) -> AnswerId:
    """What `given` says, in any of its forms; in none of them it is taken for the id of a turn as it is.

    Nothing in it is to be trusted: anybody can make such an id.
    """
    provider = None
    if given.startswith(_RESPONSE_PREFIX):
        found = ResponsesAPIRequestUtils.decode_responses_api_response_id(_decrypted(given))
        given, provider = found.get("response_id") or given, found.get("custom_llm_provider")
    return AnswerId(given.removeprefix(ANSWER_ID_PREFIX), provider)


def _decrypted(given: str) -> str:
    from litellm.proxy.common_utils.encrypt_decrypt_utils import decrypt_value_helper

    plain = decrypt_value_helper(
        given.removeprefix(_RESPONSE_PREFIX), key="response_id", exception_type="debug", return_original_value=True
    )
    if plain is None or not plain.startswith(_IN_PLAIN):
        return given
    return plain.removeprefix(_IN_PLAIN).partition(";")[0]
