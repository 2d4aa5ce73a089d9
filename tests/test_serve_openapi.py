"""The server keeps the promises of its OpenAPI document, whatever is sent to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from serving import serving

KEY = "a-key-for-the-tests-0123456789"
EXAMPLES = 30  # of each kind and operation: 12 s in all
OPERATIONS = [
    ("POST", "/search"),
    ("GET", "/search"),
    ("POST", "/search/image"),
    ("POST", "/tag"),
    ("POST", "/tag/image"),
    ("GET", "/collections"),
    ("GET", "/collections/{name}"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
]
# Those that schemathesis knows, and 413: texts so long that the body is not even read.
REJECTIONS = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]
CONFIG = SchemathesisConfig.from_dict(
    # What fits the schema may still be refused: 400 by the query language, 404 for a name that there is
    # not, 422 for an upload that is no picture.
    {
        "checks": {
            "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404", "422"]},
            "negative_data_rejection": {"expected-statuses": REJECTIONS},
        },
        "auth": {"openapi": {"header": {"api_key": KEY}}},
    }
)


@pytest.fixture(scope="module")
def document(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    """The document of a real server with a key."""
    load_all_checks()
    data = tmp_path_factory.mktemp("serve") / "data"
    shutil.copytree(demo_data, data)
    cache = str(demo_data.parent / "cache")
    with serving(CLIPSEARCH_DATA=str(data), CLIPSEARCH_CACHE=cache, CLIPSEARCH_SERVE_KEY=KEY) as running:
        yield schemathesis.openapi.from_url(f"{running.url}/openapi.json", config=CONFIG)


def test_the_document_has_these_operations(document: schemathesis.BaseSchema) -> None:
    found = [result.ok() for result in document.get_all_operations()]
    assert {(operation.method.upper(), operation.path) for operation in found} == set(OPERATIONS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_server_keeps_its_promises(
    document: schemathesis.BaseSchema, method: str, path: str, mode: GenerationMode
) -> None:
    operation = document[path][method]
    if mode is GenerationMode.NEGATIVE and not (
        operation.body or operation.query or operation.path_parameters
    ):
        pytest.skip("it takes nothing that could be wrong")

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def every_answer_is_as_described(case: schemathesis.Case) -> None:
        case.call_and_validate()

    every_answer_is_as_described()


def test_good_answers_are_as_described_too(document: schemathesis.BaseSchema) -> None:
    searched = {"q": "brass hex bolt", "top": 3, "filter": ["material=brass"], "diversity": 0.5}
    page = answered(document["/search"]["POST"].Case(body=searched, media_type="application/json"))
    assert len(page["hits"]) == 3
    assert answered(document["/search"]["GET"].Case(query=searched))["hits"]
    labels = {"key": page["hits"][0]["key"], "labels": ["gear", "六角ボルト"]}
    assert answered(document["/tag"]["POST"].Case(body=labels, media_type="application/json"))["tags"]
    assert answered(document["/collections/{name}"]["GET"].Case(path_parameters={"name": "demo"}))["n_points"]


def answered(case: schemathesis.Case) -> dict[str, Any]:
    """What a 200 answer says, having been compared with the document."""
    response = case.call_and_validate(headers={"X-API-Key": KEY})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found
