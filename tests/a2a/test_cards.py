"""The cards of agents, in both versions of the protocol."""

from __future__ import annotations

from a2a.client.card_resolver import parse_agent_card

from agentllm.a2a.cards import as_json, card_of
from agentllm.core import Agent, Card
from tests.conversations.speaking import Speaking

URL = "https://agents.example.org/agentllm/a2a/weather"


NO_CARD = Card()


def made(card: Card = NO_CARD, description: str = "The weather.") -> Agent:
    return Agent("weather", description, Speaking(), card)


def test_a_card_is_read_by_clients_of_both_versions() -> None:
    found = as_json(card_of(made(Card("Weather", ("outdoors",), ("Will it rain?",))), URL))
    assert (found["url"], found["protocolVersion"], found["preferredTransport"]) == (URL, "0.3", "JSONRPC")
    spoken = [(one["protocolVersion"], one["protocolBinding"]) for one in found["supportedInterfaces"]]
    assert spoken == [("1.0", "JSONRPC"), ("1.0", "HTTP+JSON"), ("0.3", "JSONRPC"), ("0.3", "HTTP+JSON")]
    card = parse_agent_card(found)
    (skill,) = card.skills
    assert (skill.name, skill.description, list(skill.tags)) == ("Weather", "The weather.", ["outdoors"])
    assert list(skill.examples) == ["Will it rain?"]


def test_a_key_is_asked_for() -> None:
    card = card_of(made(), URL)
    assert card.security_schemes["bearer"].http_auth_security_scheme.scheme == "bearer"
    assert [list(one.schemes) for one in card.security_requirements] == [["bearer"]]


def test_pictures_are_taken_by_agents_that_see() -> None:
    assert "image/png" in card_of(made(), URL).default_input_modes
    assert "image/png" not in card_of(made(Card(takes_images=False)), URL).default_input_modes


def test_an_agent_that_says_nothing_of_itself_has_a_card_with_all_that_is_required() -> None:
    card = card_of(made(description=""), URL)
    assert card.description
    assert card.skills[0].description
    assert list(card.skills[0].tags) == ["agno"]
