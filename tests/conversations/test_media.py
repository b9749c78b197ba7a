"""Pictures, sounds and files in stored conversations: shown, exported, counted, and told from each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agentllm.conversations.archive import Conversation, DatedTurn
from agentllm.conversations.digest import extended
from agentllm.conversations.display import tree
from agentllm.conversations.export import openai_message
from agentllm.conversations.memory import within
from agentllm.conversations.records import from_json, to_json
from agentllm.core import Media, Message
from agentllm.gateway.parts import Parts
from tests.conversations.talk import Tree
from tests.gateway.pictures import JPEG, MP3, PDF, PNG, WAV

PICTURE = Media("image", "image/png", PNG)
SOUND = Media("audio", "audio/wav", WAV)
DOCUMENT = Media("file", "application/pdf", PDF, "a.pdf")
SAID = Message("user", "see", media=(PICTURE, SOUND, Media("audio", "audio/mpeg", MP3), DOCUMENT))


def test_what_is_exported_can_be_sent_again() -> None:
    exported = openai_message(SAID)
    content = Parts().content(exported["content"], "user", "messages[0].content")
    assert (content.text, content.media) == (SAID.content, SAID.media)
    alone = openai_message(Message("user", "", media=(PICTURE,)))
    assert Parts().content(alone["content"], "user", "messages[0].content").media == (PICTURE,)


def test_without_media_the_content_is_a_text() -> None:
    assert openai_message(Message("user", "hi")) == {"role": "user", "content": "hi"}


def test_media_are_stored_whole() -> None:
    assert from_json(to_json([SAID])) == (SAID,)


def test_each_is_shown_by_its_kind_type_and_size_and_its_name_where_it_has_one() -> None:
    tree_of = Tree()
    tree_of.add("see", answer="seen", after=None)
    (turn,) = tree_of.turns
    now = datetime.now(UTC)
    conversation = Conversation("c", (), "a", None, now, now, {})
    lines = list(tree(conversation, [DatedTurn(replace(turn, input=(SAID,)), now)]))
    shown = [line.strip() for line in lines if line.strip().startswith("user")]
    assert shown[0] == "user: see"
    assert all(word in shown[1] for word in ("image", "image/png", f"{len(PNG)} bytes"))
    assert all(word in shown[-1] for word in ("file", "a.pdf", "application/pdf", f"{len(PDF)} bytes"))
    alone = replace(turn, input=(Message("user", "", media=(PICTURE,)),))
    assert shown[1] in [line.strip() for line in tree(conversation, [DatedTurn(alone, now)])]


@pytest.mark.parametrize(
    "other",
    [
        Message("user", "see"),
        Message("user", "see", media=(Media("image", "image/jpeg", JPEG),)),
        Message("user", "see", media=(PICTURE, PICTURE)),
    ],
)
def test_other_media_make_another_conversation(other: Message) -> None:
    assert extended("x", [other]) != extended("x", [Message("user", "see", media=(PICTURE,))])


def test_an_answer_that_is_a_picture_alone_leaves_the_conversation_what_it_was() -> None:
    asked = extended("x", [Message("user", "paint")])
    assert extended(asked, [Message("assistant")]) == asked


@pytest.mark.parametrize(
    ("media", "tokens"),
    [
        (PICTURE, 1_024),
        (Media("audio", "audio/mpeg", MP3 + b"\x00" * 500_000), 1_000),
        (Media("file", "application/pdf", PDF + b"\x00" * 200_000), 10_000),
        (Media("file", "text/plain", b"a" * 30_000), 10_000),
    ],
)
def test_media_take_room_in_a_model_s_window(media: Media, tokens: int) -> None:
    tree = Tree()
    tree.add("see", answer="seen", after=None)
    (turn,) = tree.turns
    with_media = replace(turn, input=(replace(turn.input[0], media=(media,)),))
    window = next(window for window in range(1_000) if within(window, [turn], []))
    assert not within(window + tokens, [with_media], [])
    assert within(2 * (window + tokens), [with_media], [])
