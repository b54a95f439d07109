"""The Flask application: addresses, and what every answer has in common."""

from __future__ import annotations

import io
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import IO, Any, TypeVar

from flask import Flask, Request, Response, g, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from handbench import __version__
from handbench.files import to_json
from handbench.reports.escape import one_line
from handbench.web import assets
from handbench.web.answers import Answer, answer, read_box
from handbench.web.guards import check_header, too_large
from handbench.web.limits import FORM_PARTS, Limits
from handbench.web.metrics import MEDIA_TYPE as METRICS_TYPE
from handbench.web.metrics import Metrics
from handbench.web.models import LoadedModel
from handbench.web.openapi import description
from handbench.web.pages import front_page, plain_page
from handbench.web.pool import Pool
from handbench.web.problems import MEDIA_TYPE as PROBLEM_TYPE
from handbench.web.problems import Problem
from handbench.web.rate import RateLimit

log = logging.getLogger("handbench.web")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer. Photographing goes through the file chooser, which needs no permission."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_PATH = 80
_Written = TypeVar("_Written")
_FORM_MEMORY = 256 * 1024
"""Werkzeug counts its buffer of 64 kB with the fields of a form."""
NO_MODEL = (
    "No model is loaded: train one with `handbench train baseline`, or start the server with one, "
    "such as `handbench serve runs/my-run`."
)


class _InMemory(Request):
    """A request whose files stay in memory, and whose broken forms are errors."""

    # Werkzeug would write files of more than 500 kB to a temporary file.
    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return io.BytesIO()

    def make_form_data_parser(self) -> FormDataParser:
        parser = super().make_form_data_parser()
        parser.silent = False  # otherwise a broken form looks like an empty one
        return parser


class _Site(Flask):
    request_class = _InMemory


class Service:
    """What the addresses share: models, limits, the pool and the counts."""

    def __init__(self, models: Mapping[str, LoadedModel], limits: Limits) -> None:
        self.models, self.limits = models, limits
        self.pool, self.metrics = Pool(limits), Metrics()
        self.rate = RateLimit(limits.per_minute)

    def predict(
        self,
        data: bytes,
        model_id: str | None,
        box_text: str | None,
        write: Callable[[Answer], _Written],
    ) -> _Written:
        """Answer one picture in a worker of the pool.

        Parameters
        ----------
        data
            The picture as it was sent.
        model_id, box_text
            What the visitor asked for.
        write
            Makes of the answer what is sent. It runs in the worker, too, since drawing takes as
            much time and memory as decoding.

        Raises
        ------
        Problem
            If it is refused.
        """
        self.rate.take(request.remote_addr or "")
        model = self._model(model_id)
        box = read_box(box_text)
        check_header(data, self.limits)  # a refusal needs no worker

        def work() -> _Written:
            found = answer(data, model, box, self.limits)
            self.metrics.count_picture(found=found.hand is not None, seconds=found.model_ms / 1e3)
            return write(found)

        written: _Written = self.pool.run(work)
        return written

    def _model(self, model_id: str | None) -> LoadedModel:
        if not self.models:
            raise Problem("no_model", NO_MODEL)
        if not model_id:
            return next(iter(self.models.values()))
        try:
            return self.models[model_id]
        except KeyError:
            raise Problem(
                "unknown_model",
                f"Expected a model of {', '.join(self.models)}, found another; "
                "GET /api/v1/models lists them.",
            ) from None


def create_app(models: Mapping[str, LoadedModel], limits: Limits | None = None) -> Flask:
    """Make the application.

    Parameters
    ----------
    models
        Id → model; the first is the default. With none, the page says how to make one.
    limits
        What a visitor may ask.

    Returns
    -------
    A WSGI application; its :class:`Service` is ``app.extensions["handbench"]``.
    """
    limits = limits or Limits()
    app = _Site(__name__, static_folder=None, template_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=limits.max_body,
        MAX_FORM_MEMORY_SIZE=_FORM_MEMORY,
        MAX_FORM_PARTS=FORM_PARTS,
    )
    service = app.extensions["handbench"] = Service(models, limits)
    _add_frame(app, service)
    _add_errors(app, service)
    _add_pages(app, service)
    _add_interface(app, service)
    return app


def _add_frame(app: Flask, service: Service) -> None:
    """What happens before and after every request."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id()
        g.code = ""

    @app.after_request
    def end(response: Response) -> Response:
        seconds = time.perf_counter() - g.began
        response.headers.update(_HEADERS)
        response.headers["X-Request-ID"] = g.request_id
        response.headers.setdefault("Cache-Control", "no-store")
        service.metrics.count_request(request.endpoint or "none", response.status_code, seconds)
        # Neither the address of a visitor nor a name of a file: the log holds no personal data.
        log.info(
            "%s %s %s %d %.0f ms %s",
            g.request_id,
            request.method,
            one_line(request.path[:_LONGEST_PATH]),
            response.status_code,
            1e3 * seconds,
            g.code or "-",
        )
        return response


def _add_errors(app: Flask, service: Service) -> None:
    """Every error is a problem document, or a page for people."""

    def refuse(problem: Problem) -> Response:
        g.code = problem.code
        service.metrics.count_problem(problem.code)
        if _for_people():
            if request.path == "/":
                page = front_page(
                    service.models,
                    service.limits,
                    root=request.url_root,
                    problem=problem,
                    request_id=g.request_id,
                )
            else:
                title = problem.document("")["title"]
                page = plain_page(title, problem.detail, g.request_id)
            response = Response(page, problem.status)
        else:
            document = to_json(problem.document(g.request_id))
            response = Response(document, problem.status, content_type=PROBLEM_TYPE)
        response.headers.update(problem.headers)
        return response

    app.register_error_handler(Problem, refuse)

    @app.errorhandler(RequestEntityTooLarge)
    def body_too_large(_: RequestEntityTooLarge) -> Response:
        length = request.content_length
        if length is None or length > service.limits.max_body:
            return refuse(too_large(length, service.limits))
        return refuse(
            Problem(
                "bad_form",
                f"Expected a form with one picture and at most {FORM_PARTS} parts, found more or "
                "longer ones; send image, model and box alone.",
            )
        )

    @app.errorhandler(HTTPException)
    def no_such_address(error: HTTPException) -> Response:
        if error.code == 404:
            return refuse(Problem("not_found", f"There is nothing at {request.path}."))
        if error.code == 405:
            allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
            response = refuse(
                Problem("method_not_allowed", f"Expected {allowed}, found {request.method}.")
            )
            response.headers["Allow"] = allowed
            return response
        if error.response is not None or (error.code or 500) in range(300, 400):
            return app.make_response(error)  # a redirect
        return refuse(
            Problem("bad_request", "Expected an HTTP request that can be read, found another.")
        )

    @app.errorhandler(Exception)
    def unexpected(_: Exception) -> Response:
        log.exception("%s failed", g.request_id)
        return refuse(
            Problem(
                "internal",
                "The server did not expect this. Its log says more under the request id "
                f"{g.request_id}.",
            )
        )


def _add_pages(app: Flask, service: Service) -> None:
    """Addresses for people."""

    @app.get("/")
    def front() -> str:
        return front_page(
            service.models,
            service.limits,
            root=request.url_root,
            chosen=request.args.get("model"),
            request_id=g.request_id,
        )

    @app.post("/")
    def without_script() -> str:
        """A picture sent by the form itself."""
        data, fields = _form()
        sample = assets.samples().get(fields.get("sample", ""))
        if sample is not None:
            data = sample.data
        box, root, request_id = fields.get("box", ""), request.url_root, g.request_id
        return service.predict(
            data or b"",
            fields.get("model"),
            box,
            lambda found: front_page(
                service.models,
                service.limits,
                root=root,
                chosen=found.model.id,
                box=box,
                answer=found,
                request_id=request_id,
            ),
        )

    @app.get("/static/<path:name>")
    def static(name: str) -> Response:
        asset = assets.assets().get(name)
        if asset is None:
            raise Problem("not_found", f"There is nothing at {request.path}.")
        response = Response(asset.data, content_type=asset.media_type)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _add_interface(app: Flask, service: Service) -> None:
    """Addresses for programs."""

    @app.post("/api/v1/predict")
    def predict() -> Response:
        kind = request.mimetype
        fields: Mapping[str, str] = {}
        if kind == "multipart/form-data":
            data, fields = _form()
            if data is None:
                raise Problem(
                    "bad_form",
                    "Expected the picture as a file called image in the form, found none; such as "
                    "curl -F image=@hand.jpg",
                )
        elif kind in ("", "application/octet-stream") or kind.startswith("image/"):
            data = request.get_data(cache=False)
        else:
            raise Problem(
                "unsupported_body",
                "Expected multipart/form-data with a file called image, or the picture itself as "
                f"image/jpeg or image/png, found {one_line(kind[:_LONGEST_PATH])}.",
            )
        request_id = g.request_id
        document = service.predict(
            data,
            request.args.get("model") or fields.get("model"),
            request.args.get("box") or fields.get("box"),
            lambda found: found.document(request_id),
        )
        return _json(document)

    @app.get("/api/v1/models")
    def models() -> Response:
        documents = [model.document() for model in service.models.values()]
        return _json({"models": documents, "default": next(iter(service.models), None)})

    @app.get("/api/v1/openapi.json")
    def openapi() -> Response:
        return _json(description(service.limits))

    @app.get("/healthz")
    def healthz() -> Response:
        count = len(service.models)
        state = "ok" if count else "no model"
        response = _json({"status": state, "models": count, "version": __version__})
        response.status_code = 200 if count else 503
        return response

    @app.get("/metrics")
    def metrics() -> Response:
        text = service.metrics.text(service.pool, models=len(service.models))
        return Response(text, content_type=METRICS_TYPE)


def _form() -> tuple[bytes | None, Mapping[str, str]]:
    """The first file called `image` that holds something, and the other fields of a form."""
    try:
        files, fields = request.files.getlist("image"), request.form
    except ValueError:
        raise Problem(
            "bad_form",
            "Expected a whole multipart form, found one that is broken or cut off; send it again.",
        ) from None
    contents = [file.read() for file in files]
    return next((data for data in contents if data), contents[0] if contents else None), fields


def _for_people() -> bool:
    """Whether the answer is read by a person in a browser."""
    apart = ("/api/", "/healthz", "/metrics")
    return not request.path.startswith(apart) and bool(request.accept_mimetypes.accept_html)


def _json(document: Any) -> Response:
    return Response(to_json(document), content_type="application/json")


def new_request_id() -> str:
    """A name that no other request has."""
    return secrets.token_hex(8)
