"""The text of an HTML page, by the standard library's parser: no scripts, no styles, blocks as paragraphs."""

from __future__ import annotations

from html.parser import HTMLParser

_LEFT_OUT = frozenset({"script", "style", "noscript", "template", "svg", "math", "iframe", "object", "select"})
_INLINE = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "ins",
        "kbd",
        "label",
        "mark",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    ]
)
_VOID = frozenset(["area", "base", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track"])


def html_text(page: str) -> tuple[str, str]:
    """Title and text of a page; paragraphs are parted by an empty line. Malformed markup is read as far as it goes."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    paragraphs = (" ".join("".join(part).split()) for part in reader.blocks)
    return " ".join("".join(reader.title).split()), "\n\n".join(part for part in paragraphs if part)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self.blocks: list[list[str]] = [[]]
        self._left_out = ""
        self._depth = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if self._left_out:
            self._depth += tag == self._left_out
        elif tag in _LEFT_OUT:
            self._left_out, self._depth = tag, 1
        elif tag == "title":
            self._in_title = True
        elif tag == "br":
            self.blocks[-1].append(" ")
        elif tag not in _INLINE and tag not in _VOID:
            self.blocks.append([])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _LEFT_OUT:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._left_out:
            self._depth -= tag == self._left_out
            if not self._depth:
                self._left_out = ""
        elif tag == "title":
            self._in_title = False
        elif tag not in _INLINE:
            self.blocks.append([])

    def handle_data(self, data: str) -> None:
        if self._left_out:
            return
        (self.title if self._in_title else self.blocks[-1]).append(data)
