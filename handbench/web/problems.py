"""Why a request is not answered: a status, a code for programs and a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"
"""RFC 9457."""

CODES: dict[str, int] = {
    "empty": 400,
    "bad_form": 400,
    "bad_request": 400,
    "bad_box": 400,
    "unknown_model": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "too_large": 413,
    "too_many_pixels": 413,
    "unsupported_body": 415,
    "unsupported_picture": 415,
    "too_small": 422,
    "animated": 422,
    "damaged": 422,
    "rate_limited": 429,
    "busy": 429,
    "headers_too_large": 431,
    "internal": 500,
    "not_implemented": 501,
    "no_model": 503,
    "too_slow": 503,
    "stopping": 503,
}
"""Code → HTTP status."""


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """A request that is refused.

    Parameters
    ----------
    code
        One of :data:`CODES`.
    detail
        A sentence for the person who sent it: what was expected, what was found, what to do.
    retry_after_s
        When it is worth trying again.
    """

    def __init__(self, code: str, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.status = CODES[code]
        self.detail = detail
        self.headers: Mapping[str, str] = (
            {} if retry_after_s is None else {"Retry-After": str(max(1, round(retry_after_s)))}
        )

    def document(self, request_id: str) -> dict[str, Any]:
        """The body of the answer."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id,
        }
