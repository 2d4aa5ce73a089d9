"""The FastAPI application: routes, errors in one shape, and the OpenAPI that describes them.

No `from __future__ import annotations` here: FastAPI reads the routes' annotations, and they name what is
imported inside `build`, so they must be evaluated where they stand.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from clipsearch import __version__
from clipsearch.errors import ClipSearchError
from clipsearch.serve import answering, schemas
from clipsearch.serve.docs import docs_page
from clipsearch.serve.metrics import CONTENT_TYPE, Metrics
from clipsearch.serve.openapi import ERRORS, describe
from clipsearch.serve.opened import OpenCollections
from clipsearch.serve.replies import Refusal, Reply, reply_to
from clipsearch.serve.workers import Workers

if TYPE_CHECKING:
    from fastapi import FastAPI, Response

_MULTIPART = "multipart/form-data"
_TAGS: Any = schemas.TagsOut | schemas.VocabularyTagsOut
ROUTES = frozenset(
    {
        "/search",
        "/search/image",
        "/tag",
        "/tag/image",
        "/collections",
        "/collections/{name}",
        "/healthz",
        "/metrics",
        "/docs",
        "/openapi.json",
    }
)


def build(
    collections: OpenCollections,
    *,
    workers: Workers,
    metrics: Metrics,
    is_ready: Callable[[], bool],
    needs_key: bool,
) -> "FastAPI":
    """The application, without the gate."""
    from fastapi import FastAPI

    app = FastAPI(
        title="clipsearch", version=__version__, docs_url=None, redoc_url=None, openapi_url="/openapi.json"
    )
    _add_searching(app, collections, workers)
    _add_tagging(app, collections, workers)
    _add_collections(app, collections, workers)
    _add_health(app, metrics, workers, is_ready)
    _add_errors(app)
    app.openapi = partial(describe, app, needs_key=needs_key)  # type: ignore[method-assign]
    return app


def _add_searching(app: "FastAPI", collections: OpenCollections, workers: Workers) -> None:
    from fastapi import Body, File, Form, Query, Response, UploadFile

    class SearchImageForm(schemas.SearchRequest):
        image: UploadFile = File(description="The picture to be near to.")

    @app.post("/search", response_model=schemas.PageOut, responses=ERRORS, tags=["search"])
    async def search(ask: Annotated[schemas.SearchRequest, Body()]) -> Response:
        """Search by words, records and filters."""
        return _json(await workers.run(lambda: answering.search(collections, ask)))

    @app.get("/search", response_model=schemas.PageOut, responses=ERRORS, tags=["search"])
    async def search_get(ask: Annotated[schemas.SearchRequest, Query()]) -> Response:
        """The same by a query string; list options may repeat."""
        return _json(await workers.run(lambda: answering.search(collections, ask)))

    @app.post("/search/image", response_model=schemas.PageOut, responses=ERRORS, tags=["search"])
    async def search_image(ask: Annotated[SearchImageForm, Form(media_type=_MULTIPART)]) -> Response:
        """Search by an uploaded picture, with words and filters if wanted."""
        picture = await ask.image.read()
        return _json(await workers.run(lambda: answering.search(collections, ask, picture)))


def _add_tagging(app: "FastAPI", collections: OpenCollections, workers: Workers) -> None:
    from fastapi import Body, File, Form, Response, UploadFile

    class TagForm(schemas.TagImageForm):
        image: UploadFile = File(description="The picture to label.")

    @app.post("/tag", response_model=_TAGS, responses=ERRORS, tags=["tag"])
    async def tag(ask: Annotated[schemas.TagRequest, Body()]) -> Response:
        """Choose among labels for a record's picture, or give it the tags of a vocabulary."""
        return _json(await workers.run(lambda: answering.tag_record_of(collections, ask)))

    @app.post("/tag/image", response_model=_TAGS, responses=ERRORS, tags=["tag"])
    async def tag_image(ask: Annotated[TagForm, Form(media_type=_MULTIPART)]) -> Response:
        """The same for an uploaded picture."""
        picture = await ask.image.read()
        return _json(await workers.run(lambda: answering.tag_image(collections, ask, picture)))


def _add_collections(app: "FastAPI", collections: OpenCollections, workers: Workers) -> None:
    from fastapi import Path, Response

    @app.get("/collections", response_model=schemas.CollectionsOut, responses=ERRORS, tags=["collections"])
    async def list_collections() -> Response:
        """The collections that may be asked for."""
        return _json(await workers.run(lambda: answering.list_collections(collections)))

    @app.get(
        "/collections/{name}", response_model=schemas.CollectionOut, responses=ERRORS, tags=["collections"]
    )
    async def collection(name: Annotated[str, Path(min_length=1, max_length=64)]) -> Response:
        """How many pictures a collection has, which model made it, which fields it has."""
        return _json(await workers.run(lambda: answering.describe_collection(collections, name)))


def _add_health(app: "FastAPI", metrics: Metrics, workers: Workers, is_ready: Callable[[], bool]) -> None:
    from fastapi import Response

    @app.get(
        "/healthz",
        response_model=schemas.HealthOut,
        responses={**ERRORS, 503: {"model": schemas.HealthOut, "description": "Alive, not ready."}},
        tags=["server"],
    )
    async def healthz() -> Response:
        """Alive, and whether the models are loaded; needs no key."""
        ready = is_ready()
        health = schemas.HealthOut(alive=True, ready=ready)
        return _json(health.model_dump_json().encode(), 200 if ready else 503)

    @app.get(
        "/metrics",
        response_class=Response,
        responses={**ERRORS, 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        tags=["server"],
    )
    async def metrics_text() -> Response:
        """Counters for Prometheus."""
        return Response(await workers.run(metrics.text), media_type=CONTENT_TYPE)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(docs_page(app.openapi()), media_type="text/html; charset=utf-8")


def _add_errors(app: "FastAPI") -> None:
    from fastapi import Request, Response
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    def handler(make: Callable[[Any], Reply]) -> Callable[[Request, Any], Awaitable[Response]]:
        async def answer(request: Request, error: Any) -> Response:
            reply = make(error)
            return Response(reply.body(), reply.status, dict(reply.headers), "application/json")

        return answer

    app.add_exception_handler(Refusal, handler(lambda error: error.reply))
    app.add_exception_handler(ClipSearchError, handler(reply_to))
    app.add_exception_handler(RequestValidationError, handler(_invalid))
    app.add_exception_handler(HTTPException, handler(_http_error))
    app.add_exception_handler(Exception, handler(_unexpected))


def _json(body: bytes, status: int = 200) -> "Response":
    from fastapi import Response

    return Response(body, status, media_type="application/json")


def _invalid(error: Any) -> Reply:
    """What does not fit the schema: the first mistake, with where it is; what was sent is not repeated."""
    first = error.errors()[0]
    if first.get("type") == "json_invalid":
        return Reply(400, "bad-json", f"the body is no JSON: {first['ctx']['error']}", first["loc"][1])
    where = ".".join(str(part) for part in first["loc"][1:])
    return Reply(400, "bad-request", f"{where or 'the body'}: {first['msg']}")


def _http_error(error: Any) -> Reply:
    codes = {404: "no-route", 405: "no-method"}
    code = codes.get(error.status_code, "bad-request")
    return Reply(error.status_code, code, str(error.detail), headers=tuple((error.headers or {}).items()))


def _unexpected(error: Any) -> Reply:
    return Reply(500, "failed", "the server failed; its log says how")
