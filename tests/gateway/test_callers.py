"""Who a caller is, and which people a front end may speak for."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import Caller
from agentllm.errors import AuthenticationFailed, InvalidRequest
from agentllm.gateway.callers import LONGEST_END_USER, LONGEST_JWT, MASTER_KEY, caller_of, signed_end_user
from agentllm.settings import load_settings

SECRET = "the front end's secret, 32 bytes or more"
HASH = "a" * 64
OTHER_HASH = "b" * 64


def known(key: str = HASH, **more: str | None) -> dict[str, str | None]:
    """What LiteLLM knows of a key."""
    return {"user_api_key_hash": key, **{f"user_api_key_{name}": value for name, value in more.items()}}


def person(**headers: str) -> dict[str, str]:
    return {f"x-openwebui-user-{name}": value for name, value in headers.items()}


def token(secret: str = SECRET, algorithm: str = "HS256", **more: Any) -> str:
    claims = {"sub": "ada", "iss": "open-webui", "iat": int(time.time()), "exp": time.time() + 300, **more}
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, secret, algorithm=algorithm)


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_trust(names: str) -> None:
        monkeypatch.setenv("AGENTLLM_TRUSTED_FRONTENDS", names)
        load_settings.cache_clear()

    return set_trust


@pytest.fixture
def signing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTLLM_OPENWEBUI_JWT_SECRET", SECRET)
    load_settings.cache_clear()


class TestTheKey:
    def test_it_is_what_the_proxy_authenticated(self) -> None:
        assert caller_of(known(user_id="ada", team_id="t"), {}) == Caller(HASH, "ada", "t")

    def test_without_a_proxy_it_is_nobody_s(self) -> None:
        assert caller_of({}, person(id="ada")) == Caller("")

    def test_nothing_else_that_is_known_of_a_request_counts(self) -> None:
        claims = {"user_api_key_end_user_id": "eve", "user_id": "eve", "requester_metadata": {"user_id": "eve"}}
        assert caller_of({**known(user_id="ada"), **claims}, {}) == Caller(HASH, "ada")


class TestTrust:
    def test_of_itself_the_master_key_alone_is_trusted(self) -> None:
        assert caller_of(known(MASTER_KEY), person(id="ada")).end_user == "ada"
        assert caller_of(known(alias="webui"), person(id="ada")).end_user is None

    @pytest.mark.parametrize("names", ["webui", "x, webui", HASH, f"{OTHER_HASH},{HASH}"])
    def test_a_key_is_trusted_by_alias_or_hash_and_then_the_master_key_is_not(self, trust: Any, names: str) -> None:
        trust(names)
        assert caller_of(known(alias="webui"), person(id="ada")).end_user == "ada"
        assert caller_of(known(MASTER_KEY), person(id="ada")).end_user is None

    @pytest.mark.parametrize("names", ["master", "webui,master", MASTER_KEY])
    def test_the_master_key_is_named_among_others(self, trust: Any, names: str) -> None:
        trust(names)
        assert caller_of(known(MASTER_KEY), person(id="ada")).end_user == "ada"

    def test_nobody_is_trusted_where_the_list_holds_no_name(self, trust: Any) -> None:
        trust(",")
        assert caller_of(known(MASTER_KEY), person(id="ada")).end_user is None

    @pytest.mark.parametrize("alias", [None, "", "master", MASTER_KEY, HASH, "WEBUI", "webui "])
    def test_an_alias_that_people_may_choose_makes_no_key_trusted(self, trust: Any, alias: str | None) -> None:
        trust(f"master,webui,{HASH}")
        assert caller_of(known(OTHER_HASH, alias=alias), person(id="ada")).end_user is None

    @pytest.mark.parametrize(
        "headers", [person(id="ada"), person(email="a@b.c"), person(jwt="forged"), person(id="x" * 999)]
    )
    def test_from_another_key_the_headers_mean_nothing_not_even_an_error(self, headers: dict[str, str]) -> None:
        assert caller_of(known(), headers) == Caller(HASH)

    @pytest.mark.usefixtures("signing")
    def test_nor_where_tokens_are_verified(self) -> None:
        for headers in (person(id="ada"), person(jwt=token()), person(jwt="forged")):
            assert caller_of(known(), headers) == Caller(HASH)


class TestPeople:
    def test_the_id_counts_before_the_e_mail_and_nothing_else_does(self) -> None:
        def end_user(**headers: str) -> str | None:
            return caller_of(known(MASTER_KEY), person(**headers)).end_user

        assert end_user(id="ada", email="a@b.c") == "ada"
        assert end_user(id=" ", email="a@b.c") == "a@b.c"
        assert end_user(name="Ada", role="admin") is None
        assert end_user() is None

    @given(st.text(min_size=1, max_size=LONGEST_END_USER), st.text(min_size=1, max_size=LONGEST_END_USER))
    def test_two_ids_are_two_people_however_they_are_written(self, one: str, other: str) -> None:
        first, second = (caller_of(known(MASTER_KEY), person(id=name)) for name in (one, other))
        assert (first.principal == second.principal) == (one.strip() == other.strip())

    def test_percent_signs_are_part_of_an_id(self) -> None:
        encoded, plain = (caller_of(known(MASTER_KEY), person(email=name)) for name in ("a%40b.c", "a@b.c"))
        assert encoded.principal != plain.principal

    def test_the_longest_id_is_taken_and_a_longer_one_refused(self) -> None:
        longest = "x" * LONGEST_END_USER
        assert caller_of(known(MASTER_KEY), person(id=longest)).end_user == longest
        with pytest.raises(InvalidRequest, match=str(LONGEST_END_USER)):
            caller_of(known(MASTER_KEY), person(id=f"{longest}x"))

    def test_the_same_id_at_two_front_ends_is_two_people_even_under_one_user(self, trust: Any) -> None:
        trust("master,webui,slack")
        callers = [
            caller_of(known(HASH, alias="webui", user_id="ops"), person(id="ada")),
            caller_of(known(OTHER_HASH, alias="slack", user_id="ops"), person(id="ada")),
            caller_of(known(MASTER_KEY, user_id="ops"), person(id="ada")),
            caller_of(known(HASH, alias="webui", user_id="ops"), {}),
            caller_of(known("c" * 64, user_id="ada"), {}),
        ]
        assert len({caller.principal for caller in callers}) == len(callers)

    def test_they_stay_who_they_are_when_the_front_end_gets_another_key(self, trust: Any) -> None:
        trust("webui")
        one, other = (caller_of(known(key, alias="webui"), person(id="ada")) for key in (HASH, OTHER_HASH))
        assert one.principal == other.principal


class TestTokens:
    @pytest.mark.usefixtures("signing")
    def test_a_signed_person_is_who_their_id_says(self) -> None:
        signed = caller_of(known(MASTER_KEY), person(jwt=token()))
        assert (signed.end_user, signed.front_end) == ("ada", "master")

    def test_it_is_the_person_that_the_unsigned_id_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        unsigned = caller_of(known(MASTER_KEY), person(id="ada"))
        monkeypatch.setenv("AGENTLLM_OPENWEBUI_JWT_SECRET", SECRET)
        load_settings.cache_clear()
        assert caller_of(known(MASTER_KEY), person(jwt=token())).principal == unsigned.principal

    def test_without_a_secret_a_token_is_refused_and_the_setting_named(self) -> None:
        with pytest.raises(AuthenticationFailed, match="AGENTLLM_OPENWEBUI_JWT_SECRET"):
            caller_of(known(MASTER_KEY), person(jwt=token(), id="ada"))

    @pytest.mark.usefixtures("signing")
    @pytest.mark.parametrize("name", ["id", "email", "name", "role"])
    @pytest.mark.parametrize("also_signed", [False, True])
    def test_with_a_secret_what_is_unsigned_is_refused(self, name: str, also_signed: bool) -> None:
        headers = {**person(**{name: "ada"}), **(person(jwt=token()) if also_signed else {})}
        with pytest.raises(AuthenticationFailed, match=f"x-openwebui-user-{name}"):
            caller_of(known(MASTER_KEY), headers)

    @pytest.mark.usefixtures("signing")
    def test_with_a_secret_a_request_for_nobody_is_the_key_s(self) -> None:
        chat = {"x-openwebui-chat-id": "c", "x-openwebui-auth-type": "jwt"}
        assert caller_of(known(MASTER_KEY), chat) == Caller(MASTER_KEY)

    @pytest.mark.usefixtures("signing")
    @pytest.mark.parametrize("given_token", ["", "x", "a.b.c", "Bearer x", "é", "x" * (LONGEST_JWT + 1)])
    def test_what_is_no_token_is_refused(self, given_token: str) -> None:
        with pytest.raises(AuthenticationFailed) as caught:
            caller_of(known(MASTER_KEY), person(jwt=given_token))
        assert "X-OpenWebUI-User-Jwt" in caught.value.message

    @pytest.mark.parametrize(
        ("forged", "reason"),
        [
            ({"exp": 1}, "expired"),
            ({"exp": None}, "'exp'"),
            ({"exp": "soon"}, "signed"),
            ({"iss": "somebody"}, "issuer"),
            ({"iss": None}, "'iss'"),
            ({"sub": None}, "'sub'"),
            ({"sub": " "}, "'sub'"),
            ({"sub": 7}, "signed"),
            ({"nbf": time.time() + 3_600}, "signed"),
            ({"aud": "somebody"}, "signed"),
            ({"secret": SECRET[::-1]}, "signed"),
            ({"secret": "", "algorithm": "none"}, "signed"),
            ({"secret": SECRET * 2, "algorithm": "HS512"}, "signed"),
        ],
    )
    def test_a_token_that_is_not_to_be_believed_says_why(self, forged: dict[str, Any], reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            signed_end_user(token(**forged), SECRET)

    def test_a_clock_that_is_a_little_behind_the_front_end_s_does_no_harm(self) -> None:
        assert signed_end_user(token(iat=int(time.time()) + 60), SECRET) == "ada"
