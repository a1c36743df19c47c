"""The step that turns pages into documents, in anybody's datatrove pipeline, on Spark, and in a build."""

from __future__ import annotations

from datatrove.data import Document, Media, MediaType
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.first_pass import Signs, signs
from filters.html import decode_html, extract

_BATCH = 32  # pages that the first pass looks at together
Verdict = bool | tuple[bool, str]


class Extract(BaseFilter):
    """Puts the Markdown of a page in the place of its HTML (`Document.media[0]`); documents without HTML pass.

    `html_in_text` takes it from the document's text where there is no media, as text or bytes: documents of datatrove's
    WARC reader, or a column of a DataFrame. `charset` in the metadata is then that of the HTTP header, for bytes.
    Metadata get `title`, `page_language` and `formulas` (those found, kept and failed, by kind) where the page has any,
    and `cut` where it is longer than what is read of a page. Removed: `no_math_signs` if `first_pass` is asked for,
    `undecodable`, `nested_too_deep`, `too_many_attributes`, `too_slow`, `no_content`, `extract_error:TYPE`.
    """

    name = "extract"

    def __init__(
        self,
        *,
        main_content: bool = True,
        first_pass: bool = False,
        html_in_text: bool = False,
        exclusion_writer: object = None,
    ) -> None:
        super().__init__(exclusion_writer, _BATCH if first_pass else 1)
        self.main_content, self.first_pass, self.html_in_text = main_content, first_pass, html_in_text

    def filter(self, doc: Document) -> Verdict:
        """True, with the text in place, or (False, reason)."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: list[Document]) -> list[Verdict]:
        """The verdicts on a batch."""
        pages = [self._page(doc) for doc in batch]
        seen = iter(signs([_as_utf8(page) for page in pages if page]) if self.first_pass else ())
        return [
            self._judge(doc, page, next(seen, None)) if page else True for doc, page in zip(batch, pages, strict=True)
        ]

    def _page(self, doc: Document) -> Media | None:
        """Takes the HTML out of a document."""
        if doc.media:
            return doc.media.pop()
        if not (self.html_in_text and doc.text):
            return None
        html, doc.text = doc.text, ""
        if isinstance(html, bytes):
            charset = doc.metadata.get("charset")
            return Media("html", MediaType.DOCUMENT, "", media_bytes=html, metadata={"charset": charset})
        data = html.encode("utf-8", "replace")
        return Media("html", MediaType.DOCUMENT, "", media_bytes=data, metadata={"charset": "utf-8"})

    def _judge(self, doc: Document, media: Media, seen: Signs | None) -> Verdict:
        if seen and not seen.verdict:
            doc.metadata["filter_score"] = seen.probability
            return False, "no_math_signs"
        page = extract(
            media.media_bytes or b"",
            doc.metadata.get("url"),
            charset=media.metadata.get("charset"),
            main_content=self.main_content,
        )
        doc.text = page.text
        formulas = {"found": page.found, "kept": page.kept, "failed": page.failed} if page.found else None
        said = {"title": page.title, "page_language": page.language, "formulas": formulas, "cut": page.cut}
        doc.metadata.update({name: value for name, value in said.items() if value})
        return (False, page.reason) if page.reason else (True, "")


def _as_utf8(media: Media) -> bytes:
    """The bytes of a page as UTF-8."""
    data: bytes = media.media_bytes or b""
    try:
        data.decode()
    except UnicodeDecodeError:
        return (decode_html(data, media.metadata.get("charset")) or "").encode("utf-8", "replace")
    return data
