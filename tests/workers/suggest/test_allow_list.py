import pytest
from yarl import URL

from workers.suggest.allow_list import AllowList
from workers.suggest.errors import FetchRefusedError

ALLOWED = AllowList(
    ["photos.example.com", "*.cdn.example.com", "Bücher.example", "2001:db8::5"],
    ports=(80, 443, 8443),
)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://photos.example.com/a.jpg", "photos.example.com", 443),
        ("http://photos.example.com", "photos.example.com", 80),
        ("HTTPS://PHOTOS.Example.COM/a.jpg?w=1#x", "photos.example.com", 443),
        ("https://photos.example.com:8443/a", "photos.example.com", 8443),
        ("https://photos.example.com./a", "photos.example.com.", 443),
        ("https://a.cdn.example.com/a", "a.cdn.example.com", 443),
        ("https://a.b.cdn.example.com/a", "a.b.cdn.example.com", 443),
        ("https://photos.example.com/@evil.example/", "photos.example.com", 443),
        ("https://photos.example.com/?u=http://127.0.0.1/", "photos.example.com", 443),
        ("https://photos.example.com/été.jpg", "photos.example.com", 443),
        ("http://[2001:db8::5]/a", "2001:db8::5", 80),
        ("http://[2001:DB8:0::5]/a", "2001:db8::5", 80),
    ],
)
def test_passes_what_is_on_the_list(url: str, host: str, port: int) -> None:
    parsed = ALLOWED.url(url)

    assert (parsed.raw_host, parsed.port) == (host, port)


@pytest.mark.parametrize(
    "url",
    [
        # another scheme
        "ftp://photos.example.com/a",
        "gopher://photos.example.com/a",
        "ws://photos.example.com/a",
        "unix://photos.example.com/a",
        "javascript:alert(1)//photos.example.com",
        "jar:http://photos.example.com!/",
        "view-source:http://photos.example.com/",
        "//photos.example.com/a",
        "photos.example.com/a",
        "http:photos.example.com/a",
        "http:/photos.example.com/a",
        # another host
        "http://evil.example/a",
        "http://photos.example.com.evil.example/a",
        "http://evilphotos.example.com/a",
        "http://sub.photos.example.com/a",
        "http://photos.example.co/a",
        "http://photosXexample.com/a",
        "http://cdn.example.com/a",
        "http://.cdn.example.com/a",
        "http://evilcdn.example.com/a",
        "http://cdn.example.com.evil.example/a",
        "http://*.cdn.example.com.evil/",
        "http://localhost/a",
        "http://127.0.0.1/a",
        "http://[::1]/a",
        "http://[2001:db8::6]/a",
        "http://[::ffff:127.0.0.1]/photos.example.com",
        "http:///photos.example.com/a",
        "http://",
        "http://?photos.example.com",
        "http://#photos.example.com",
        "http://photos.example.com%2eevil.example/",
        "http://photos.example.com%00.evil.example/",
        "http://evil.example%2f.photos.example.com/",
        "http://evil.example%23.cdn.example.com/",
        "http://evil.example%5c.cdn.example.com/",
        "http://photos。evil/",
        # user names, and what parsers take for them
        "http://photos.example.com@evil.example/a",
        "http://photos.example.com:80@evil.example/a",
        "http://user@photos.example.com/a",
        "http://user:password@photos.example.com/a",
        "http://:password@photos.example.com/a",
        "http://a@b@photos.example.com/a",
        "http://evil.example#@photos.example.com/a",
        "http://evil.example?@photos.example.com/a",
        "http://evil.example\\@photos.example.com/a",
        "http://photos.example.com\\.evil.example/a",
        "http:\\\\photos.example.com\\a",
        "http://photos.example.com%40evil.example/",
        "http://photos.example.com&@evil.example#@x/",
        "http://photos.example.com:80@@evil.example:80/",
        "http://evil.example;photos.example.com/",
        "http://evil.example,photos.example.com/",
        "http://evil.example\u2024cdn.example.com.evil/",
        "http://photos.example.com\uff0fevil.example/",
        "http://photos.example.com\uff20evil.example/",
        "http://evil.example\uff03.cdn.example.com/",
        "http://photos\u3002example\u3002com\u3002evil/",
        "http://photos.example.com..evil/",
        "http://a..cdn.example.com/",
        "http://[photos.example.com@::1]/",
        "http://[::1].cdn.example.com/",
        "http://[::1]photos.example.com/",
        "http://$photos.example.com/",
        "http://photos.example.com\u00ad.evil/",
        # another port
        "http://photos.example.com:22/a",
        "http://photos.example.com:0/a",
        "http://photos.example.com:65536/a",
        "http://photos.example.com:-80/a",
        "http://photos.example.com:eighty/a",
        "http://photos.example.com:6379/a",
        "http://photos.example.com:80:22/a",
        # what is no URL
        "http://photos.example.com/a b",
        "http://photos.example.com/\r\nHost: evil.example",
        "http://photos.example.com/\tx",
        " http://photos.example.com/a",
        "http://photos.example.com\x00.evil.example/",
        "http://[::1/a",
        "http://[photos.example.com]/a",
        "http://[fe80::1%25eth0]/a",
        "",
    ],
)
def test_refuses_everything_else(url: str) -> None:
    with pytest.raises(FetchRefusedError):
        ALLOWED.url(url)


def test_an_empty_list_refuses_all() -> None:
    with pytest.raises(FetchRefusedError, match="host"):
        AllowList([]).url("https://photos.example.com/a")


def test_a_redirect_is_resolved_against_its_page_and_checked_again() -> None:
    page = URL("https://photos.example.com/a/b.jpg")

    assert str(ALLOWED.url("../c.jpg", base=page)) == "https://photos.example.com/c.jpg"
    assert str(ALLOWED.url("//x.cdn.example.com/c", base=page)) == "https://x.cdn.example.com/c"
    for target in ("//evil.example/c", "http://photos.example.com/c", "file:///etc/passwd"):
        with pytest.raises(FetchRefusedError):
            ALLOWED.url(target, base=page)
