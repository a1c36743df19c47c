"""One spelling of an address: what names the page stays, what says how it was linked goes."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.urls import INDEX_FILES, NOT_NAMING, canonical_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/a/b?id=7", "example.org/a/b?id=7"),
        ("HTTP://User:secret@WWW.Example.ORG:80/a//./x/../b/#part", "example.org/a/b"),
        ("https://example.org:80", "example.org"),
        ("http://example.org:8443/", "example.org:8443"),
        ("  https://例子.测试/数学/1\n", "xn--fsqu00a.xn--0zwm56d/%E6%95%B0%E5%AD%A6/1"),
        ("http://h.org/%7Esmith/%e6%95%b0/%2e%2e/x%2fy", "h.org/~smith/x%2Fy"),
        ("http://h.org/100%", "h.org/100%25"),
        ("http://h.org/a?b=2&a=1&a=0&c", "h.org/a?a=1&a=0&b=2&c"),
        ("http://h.org/a?q=a+b&r=1%2B1", "h.org/a?q=a%20b&r=1%2B1"),
        ("http://h.org/a?UTM_source=x&fbclid=y&id=&&spm=1.2", "h.org/a"),
        ("http://h.org/show.php;jsessionid=1F?PHPSESSID=2&topic=9", "h.org/show.php?topic=9"),
        ("http://h.org/a;v=1;sid=2/b", "h.org/a;v=1/b"),
        ("http://h.org/a/Index.HTML", "h.org/a"),
        ("http://h.org/index.php?id=7", "h.org?id=7"),
        ("http://h.org/a/default.aspx/", "h.org/a"),
        ("http://h.org/index.html/a", "h.org/index.html/a"),
        ("http://h.org/#!/route?x=1", "h.org#!/route?x=1"),
        ("http://h.org/a#/b", "h.org/a#/b"),
        ("http://h.org/a#/", "h.org/a"),
        ("http://www.www.org/", "www.org"),
        ("http://[2001:DB8::1]:90/a/", "[2001:db8::1]:90/a"),
    ],
)
def test_addresses_of_one_page_have_one_spelling(url: str, expected: str) -> None:
    """Scheme, case, port, codes, dots, parameters, index files: each rule with the text that it gives."""
    assert expected == canonical_url(url)


NO_ADDRESSES = """books/chapter.tex /home/a.html h.org/a //h.org/a ftp://h.org/a file:///a http: http:// mailto:a@h.org
http://bad:port/ http://h.org:99999/ http://[broken/ http://a..b/ http://a%20b/ http://%252e.org/""".split()


@pytest.mark.parametrize("url", ["", *NO_ADDRESSES, "http://\ud800.org/", f"http://{'a' * 70}.org/"])
def test_what_is_no_address_of_the_web_has_none(url: str) -> None:
    """Paths, other schemes and names that no server can have give the empty string, and no error."""
    assert "" == canonical_url(url)


def test_what_names_another_page_stays_apart() -> None:
    """Path, case of the path, parameters and their values, ports and hosts."""
    names = "a A a/b a?x=1 a?x=2 a?y=1 a?x a;x=1 a%2Fb a#!b".split()
    pages = [*(f"http://h.org/{name}" for name in names), "http://h.org:81/a", "http://m.h.org/a"]

    assert len(pages) == len({canonical_url(page) for page in pages})


@settings(max_examples=500, deadline=None)
@given(
    st.builds(
        "{}{}/{}".format,
        st.sampled_from(["http://", "HTTPS://", "https://www.", "http://u@", ""]),
        st.sampled_from(["h.org", "WWW.h.org", "h.org:80", "h.org:81", "例子.测试", "ß.de"]) | st.text(max_size=8),
        st.text(max_size=12) | st.text("aA%2eE5fF/.;?&=+#!~ü index.html", max_size=30),
    )
)
@example("http://h.org/%2525")
@example("http://h.org/index.html;a/index.php//")
@example("http://h.org/a;/..;b")
def test_the_spelling_of_a_spelling_is_itself(url: str) -> None:
    """Any text: no error, and with a scheme before it again the answer does not change; it is ASCII."""
    canonical = canonical_url(url)

    assert canonical == canonical_url(f"http://{canonical}")
    assert canonical == canonical_url(f"https://{canonical}")
    assert canonical.isascii()


@given(st.permutations(["a=1", "b=2", "utm_medium=x", "c", "_ga=3"]))
def test_the_order_of_parameters_does_not_matter(parameters: list[str]) -> None:
    """All orders of a query have one spelling."""
    assert "h.org/p?a=1&b=2&c" == canonical_url(f"http://h.org/p?{'&'.join(parameters)}")


def test_named_sets_are_in_lower_case() -> None:
    """They are compared with lower-case names, so another letter in them would never match."""
    assert all(name == name.lower() for name in INDEX_FILES | NOT_NAMING)
