"""Prefixes of URLs: one spelling for one place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.url_prefix import host_of, url_prefixes


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/a/b/page.html", ("example.org", "example.org/a/", "example.org/a/b/")),
        ("HTTP://WWW.Example.ORG:80/a//./x/../b/#part", ("example.org", "example.org/a/", "example.org/a/b/")),
        ("https://example.org:8443/", ("example.org:8443",)),
        ("//例子.测试/数学/1", ("xn--fsqu00a.xn--0zwm56d", "xn--fsqu00a.xn--0zwm56d/%E6%95%B0%E5%AD%A6/")),
        ("http://h.org/%7Esmith/%e6%95%b0/", ("h.org", "h.org/~smith/", "h.org/~smith/%E6%95%B0/")),
        ("h.org/forum/show.php?id=7", ("h.org", "h.org/forum/", "h.org/forum/show.php?")),
        ("http://h.org/a;v=1/page;x?q", ("h.org", "h.org/a/", "h.org/a/page?")),
        ("http://user:secret@h.org./p", ("h.org",)),
        ("http://[::1]:90/a/", ("[::1]:90", "[::1]:90/a/")),
        ("http://h.org/a/b/c/d/e", ("h.org", "h.org/a/", "h.org/a/b/", "h.org/a/b/c/")),
        ("https://www.org/a/", ("www.org", "www.org/a/")),
        ("http://bad:port/", ()),
        ("http://[broken/", ()),
        ("", ()),
    ],
)
def test_prefixes_of_a_url(url: str, expected: tuple[str, ...]) -> None:
    """Host, then folders: without scheme, default port, `www.`, dots, parameters; IDN and percent codes in one way."""
    assert url_prefixes(url) == expected


def test_depth_limits_the_folders() -> None:
    """With depth 0 a URL has its host alone."""
    assert url_prefixes("https://h.org/a/b/c/", 1) == ("h.org", "h.org/a/")
    assert host_of("https://h.org/a/b/c/") == "h.org"
    assert host_of("") == ""


@settings(deadline=None)
@given(st.text(max_size=60) | st.from_regex(r"(https?:)?//[a-z.]{1,12}(:[0-9]{1,4})?(/[a-z%.;?é文-]{0,6}){0,4}"))
def test_a_prefix_is_its_own_spelling(url: str) -> None:
    """Read again, the longest prefix gives the same prefixes, whatever the URL was."""
    prefixes = url_prefixes(url)
    if prefixes and "?" not in prefixes[-1]:
        assert url_prefixes(prefixes[-1]) == prefixes
