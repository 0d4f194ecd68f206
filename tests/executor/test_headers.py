"""The agent's stand-in for `email` reads the headers of an answer as `email` does."""

from __future__ import annotations

import email.parser

import pytest

from alerta_opsgenie.executor.start import Headers

TEXTS = (
    "Content-Length: 2\r\nDate: Sat, 28 Nov 2026 10:00:00 GMT\r\n\r\n",
    "a:1\r\nA: 2 \r\nB:\t3\r\n\r\n",
    "A: one\r\n  two\r\nB: 3\r\n\r\n",
    "no colon\r\nA: 1\r\n\r\n",
    "A: 1\nB: 2\n\n",
    "\r\n",
)


@pytest.mark.parametrize("text", TEXTS)
def test_they_are_read_as_the_standard_library_reads_them(text: str) -> None:
    ours, theirs = Headers().parsestr(text), email.parser.Parser().parsestr(text)
    assert [(name, value.split()) for name, value in ours.items()] == [
        (name, value.split()) for name, value in theirs.items()
    ]
    for name in ("a", "B", "content-length", "none"):
        assert (ours.get(name) or "").split() == (theirs.get(name) or "").split()
        assert len(ours.get_all(name, [])) == len(theirs.get_all(name, []))
