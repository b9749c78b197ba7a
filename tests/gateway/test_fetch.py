"""What is fetched from the URLs of a request, and what never is."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator

import pytest

from agentllm.errors import InvalidRequest
from agentllm.gateway import fetch
from agentllm.gateway.fetch import Fetcher, is_public
from agentllm.gateway.parts import Fetched
from tests.gateway.https import PUBLIC, Site, ToSite, certificates, lookup_in, site, whole
from tests.gateway.pictures import PNG

PLACE = "messages[0].content[1].image_url.url"
URL = "https://pictures.test/a.png"
SECOND = 30.0


@pytest.fixture(scope="session")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def pictures(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Site]:
    async with site(contexts[0]) as running:
        running.answers["/a.png"] = whole(PNG, content_type="image/png")
        yield running


@pytest.fixture
async def transport(pictures: Site, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[ToSite]:
    async with ToSite(pictures.port, contexts[1]) as to_site:
        yield to_site


@pytest.fixture
def fetcher(transport: ToSite) -> Fetcher:
    return Fetcher(lookup=lookup_in({"pictures.test": [PUBLIC], "other.test": [PUBLIC]}), transport=transport)


async def get(fetcher: Fetcher, url: str = URL, *, time_limit: float = SECOND) -> Fetched:
    found = await fetcher.fetch({url: PLACE}, time_limit=time_limit)
    return found[url]


async def refused(fetcher: Fetcher, url: str = URL, *, time_limit: float = SECOND) -> str:
    """The message of the refusal, after a look that it names the place and nothing of the URL."""
    with pytest.raises(InvalidRequest) as raised:
        await get(fetcher, url, time_limit=time_limit)
    assert raised.value.param in (PLACE, "messages")
    assert "pictures.test" not in raised.value.message
    return raised.value.message


# What is fetched


async def test_what_is_at_a_url_is_fetched_from_the_checked_address_under_its_name(
    fetcher: Fetcher, pictures: Site, transport: ToSite
) -> None:
    assert await get(fetcher) == Fetched(PNG, "image/png")
    assert transport.addresses == [PUBLIC]
    assert pictures.names == ["pictures.test"]
    (head,) = pictures.heads
    assert "host: pictures.test\r\n" in head.lower()


async def test_nothing_is_sent_that_tells_who_asks_or_asks_for_compression(
    fetcher: Fetcher, pictures: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    pictures.answers["/a.png"] = whole(PNG, set_cookie="a=b")
    await get(fetcher)
    await get(fetcher)
    for head in pictures.heads:
        assert "accept-encoding: identity" in head.lower()
        assert not {"cookie:", "authorization:"} & set(head.lower().split())


async def test_several_urls_are_fetched_at_the_same_time(fetcher: Fetcher, pictures: Site) -> None:
    both_came = asyncio.Barrier(2)

    async def answer_together(writer: asyncio.StreamWriter) -> None:
        await asyncio.wait_for(both_came.wait(), SECOND)
        writer.write(whole(PNG))

    pictures.answers |= {"/b.png": answer_together, "/c.png": answer_together}
    urls = {"https://pictures.test/b.png": "b", "https://pictures.test/c.png": "c"}
    assert await fetcher.fetch(urls) == dict.fromkeys(urls, Fetched(PNG))


async def test_no_more_than_a_few_are_fetched_at_once(
    fetcher: Fetcher, pictures: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "AT_ONCE", 2)
    now = most = 0

    async def count(writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(20):
            await asyncio.sleep(0)
        now -= 1
        writer.write(whole(PNG))

    pictures.answers |= {f"/{number}": count for number in range(6)}
    await fetcher.fetch({f"https://pictures.test/{number}": "x" for number in range(6)})
    assert most <= 2


async def test_a_redirect_is_followed_to_another_name(fetcher: Fetcher, pictures: Site) -> None:
    pictures.answers["/moved"] = whole(b"", "302 Found", location="https://other.test/a.png")
    pictures.answers["/again"] = whole(b"", "308 Permanent Redirect", location="/moved")
    assert (await get(fetcher, "https://pictures.test/again")).data == PNG
    assert pictures.names == ["pictures.test", "pictures.test", "other.test"]


async def test_the_next_address_is_tried_where_one_is_dead(
    pictures: Site, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async with ToSite(pictures.port, contexts[1], dead=("8.8.8.8", "2606:4700::1")) as transport:
        lookup = lookup_in({"pictures.test": ["2606:4700::1", "8.8.8.8", PUBLIC]})
        assert (await get(Fetcher(lookup=lookup, transport=transport))).data == PNG
        assert transport.addresses == ["2606:4700::1", "8.8.8.8", PUBLIC]


async def test_a_name_is_resolved_once_so_that_it_cannot_mean_something_else_a_moment_later(
    transport: ToSite,
) -> None:
    meanings = iter([[PUBLIC], ["127.0.0.1"]])

    async def lookup(_name: str) -> list[str]:
        return next(meanings)

    assert (await get(Fetcher(lookup=lookup, transport=transport))).data == PNG
    assert transport.addresses == [PUBLIC]


# What never is


PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "localhost",
    "",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_told(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001::200e"])
def test_a_public_address_is_told(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
async def test_no_connection_is_made_where_any_address_of_a_name_is_not_public(transport: ToSite, address: str) -> None:
    for addresses in ([address], [PUBLIC, address], [address, PUBLIC]):
        message = await refused(Fetcher(lookup=lookup_in({"pictures.test": addresses}), transport=transport))
        assert address == "" or address not in message
    assert transport.addresses == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://localhost/",
        "https://localhost./",
    ],
)
async def test_an_address_in_the_url_itself_is_checked_as_any_other(transport: ToSite, url: str) -> None:
    assert await refused(Fetcher(transport=transport), url)
    assert transport.addresses == []


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.test/a.png",
        "HTTP://pictures.test/a.png",
        "https://pictures.test:8443/a.png",
        "https://pictures.test:80/a.png",
        "https://me@pictures.test/a.png",
        "https://me:secret@pictures.test/a.png",
        "https://:secret@pictures.test/a.png",
        "https:///a.png",
        "https://pictures.test:99999/a.png",
        "https://[pictures.test/a.png",
        "https://pictures.test/\x00",
        f"https://pictures.test/{'a' * 8_192}",
    ],
)
async def test_a_url_that_may_not_be_fetched_is_not_even_looked_up(transport: ToSite, url: str) -> None:
    looked_up: list[str] = []

    async def lookup(name: str) -> list[str]:
        looked_up.append(name)
        return [PUBLIC]

    message = await refused(Fetcher(lookup=lookup, transport=transport), url)
    assert "secret" not in message
    assert looked_up == transport.addresses == []


@pytest.mark.parametrize(
    "location",
    [
        "https://inside.test/",
        "https://127.0.0.1/",
        "http://pictures.test/a.png",
        "//me:secret@pictures.test/a.png",
        "https://pictures.test:22/",
        "file:///etc/passwd",
        "https://[",
    ],
)
async def test_a_redirect_to_where_nothing_is_fetched_from_is_refused(
    transport: ToSite, pictures: Site, location: str
) -> None:
    pictures.answers["/moved"] = whole(b"", "301 Moved Permanently", location=location)
    lookup = lookup_in({"pictures.test": [PUBLIC], "inside.test": ["10.0.0.1"], "127.0.0.1": ["127.0.0.1"]})
    message = await refused(Fetcher(lookup=lookup, transport=transport), "https://pictures.test/moved")
    assert "secret" not in message
    assert transport.addresses == [PUBLIC]


async def test_redirects_that_go_on_are_left(fetcher: Fetcher, pictures: Site, transport: ToSite) -> None:
    pictures.answers["/round"] = whole(b"", "302 Found", location="/round")
    await refused(fetcher, "https://pictures.test/round")
    assert len(transport.addresses) == fetch.MOST_REDIRECTS + 1


async def test_a_server_that_is_not_who_it_should_be_is_not_trusted(
    transport: ToSite, pictures: Site, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    lookup = lookup_in({"nobody.test": [PUBLIC], "pictures.test": [PUBLIC]})
    assert await refused(Fetcher(lookup=lookup, transport=transport), "https://nobody.test/a.png")
    async with ToSite(pictures.port, ssl.create_default_context()) as strict:
        assert await refused(Fetcher(lookup=lookup, transport=strict))
    assert pictures.heads == []


@pytest.mark.parametrize(
    "status", ["204 No Content", "206 Partial Content", "304 Not Modified", "404 Not Found", "500 No"]
)
async def test_any_other_status_is_named(fetcher: Fetcher, pictures: Site, status: str) -> None:
    pictures.answers["/a.png"] = whole(b"", status)
    assert status[:3] in await refused(fetcher)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        whole(b""),
        whole(PNG)[:-3],
        whole(gzip.compress(PNG), content_encoding="gzip"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnope",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
    ids=range(8),
)
async def test_an_answer_that_is_none_is_refused(fetcher: Fetcher, pictures: Site, answer: bytes) -> None:
    pictures.answers["/a.png"] = answer
    assert await refused(fetcher)


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_no_more_is_read_than_the_limit_whatever_the_length_is_said_to_be(
    fetcher: Fetcher, pictures: Site, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES", 1_000)
    left = asyncio.Event()

    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode())
        try:
            for _ in range(100_000):
                writer.write(b"200\r\n" + b"a" * 512 + b"\r\n")
                await writer.drain()
        except OSError:
            left.set()

    pictures.answers["/a.png"] = pour
    assert "limit" in await refused(fetcher)
    await asyncio.wait_for(left.wait(), SECOND)


async def test_the_urls_of_a_request_have_a_limit_together(
    fetcher: Fetcher, pictures: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES_OF_REQUEST", len(PNG) + 1)
    pictures.answers["/b.png"] = whole(PNG)
    with pytest.raises(InvalidRequest):
        await fetcher.fetch({URL: "a", "https://pictures.test/b.png": "b"})


async def test_a_server_that_does_not_answer_is_left_in_time(fetcher: Fetcher, pictures: Site) -> None:
    gone = asyncio.Event()

    async def keep_silent(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
        await writer.drain()
        await asyncio.wait_for(gone.wait(), SECOND)

    pictures.answers["/a.png"] = keep_silent
    assert "0.2 seconds" in await refused(fetcher, time_limit=0.2)
    gone.set()


async def test_a_name_that_takes_too_long_or_is_not_known_is_refused(transport: ToSite) -> None:
    async def lookup(_name: str) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    assert await refused(Fetcher(lookup=lookup, transport=transport), time_limit=0.05)
    assert await refused(Fetcher(lookup=lookup_in({}), transport=transport))


async def test_too_many_urls_are_refused_before_any_is_fetched(fetcher: Fetcher, transport: ToSite) -> None:
    with pytest.raises(InvalidRequest):
        await fetcher.fetch({f"{URL}?{number}": "x" for number in range(fetch.MOST_URLS + 1)})
    assert transport.addresses == []


async def test_one_that_cannot_be_fetched_ends_the_others(fetcher: Fetcher, pictures: Site) -> None:
    ended = asyncio.Event()

    async def hang(writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
        finally:
            ended.set()

    pictures.answers |= {"/hang": hang, "/a.png": whole(b"", "404 Not Found")}
    with pytest.raises(InvalidRequest) as raised:
        await fetcher.fetch({"https://pictures.test/hang": "hang", URL: "gone"}, time_limit=SECOND)
    assert raised.value.param == "gone"
    await asyncio.wait_for(ended.wait(), SECOND)
