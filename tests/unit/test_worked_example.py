"""The worked example of docs/writing-a-processor.md, as it stands there."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from consumer.config.load import load_config
from consumer.config.tenants import settings_by_tenant
from consumer.decode import Encoding, open_decoder
from consumer.pipeline import Outcome, Pipeline
from consumer.plans import Plan
from processors.batch import SpanBatch
from processors.delta import Processor
from tests.support import otlp
from tests.support.graphs import SERVER, WILD, GraphRecord, half

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-processor.md"


@pytest.fixture(scope="module")
def example() -> Iterator[Any]:
    """The module that the page shows."""
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    module = ModuleType("worked_example")
    sys.modules[module.__name__] = module
    exec(compile(code, str(PAGE), "exec"), vars(module))  # noqa: S102  it is ours
    yield module
    del sys.modules[module.__name__]


def values() -> list[bytes]:
    parts = [
        half("shop", SERVER, 1, duration_s=0.3),
        half("shop", SERVER, 2, duration_s=2.0),
        half("stock", SERVER, 3, duration_s=3.0),
        half("shop", SERVER, 4, duration_s=4.0),
        half(None, SERVER, 5, duration_s=5.0),
        half(WILD, SERVER, 6, duration_s=6.0),
    ]
    return [GraphRecord([part]).value() for part in parts]


def decoded(example: Any, *records: bytes) -> SpanBatch:
    decoder = open_decoder(Encoding.OTLP_PROTO, processor(example).projection)
    return decoder.decode(otlp.raw_records(records)).batch


def processor(example: Any) -> Processor:
    made: Processor = example.SlowSpans(example.SlowSpansConfig.model_validate({}))
    return made


def counted(frames: Any) -> Counter[str]:
    counts = Counter[str]()
    for frame in frames:
        for row, (code,) in enumerate(frame.labels.tolist()):
            counts[frame.strings[code]] += int(frame.values[0][row, 0])
    return counts


def test_it_counts_slow_spans_by_service(example: Any) -> None:
    output = processor(example).push(decoded(example, *values()))
    assert counted(output.frames) == {"shop": 2, "stock": 1, "": 1}
    assert output.used == {"single-tenant": 4}
    assert output.discarded == {
        ("single-tenant", "fast"): 1,
        ("single-tenant", "invalid_utf8"): 1,
    }


def test_its_bound_is_configured(example: Any) -> None:
    config = example.SlowSpansConfig.model_validate({"longer_than": "2500ms"})
    output = example.SlowSpans(config).push(decoded(example, *values()))
    assert counted(output.frames) == {"shop": 1, "stock": 1, "": 1}


def test_batches_do_not_change_what_it_counts(example: Any) -> None:
    whole = processor(example).push(decoded(example, *values()))
    parts = [processor(example).push(decoded(example, value)) for value in values()]
    assert counted([f for part in parts for f in part.frames]) == counted(whole.frames)
    assert sum((part.used for part in parts), Counter()) == whole.used
    assert sum((part.discarded for part in parts), Counter()) == whole.discarded


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("consumer/config/generator.py", "class ProcessorConfig("),
        ("consumer/config/overrides.py", "ProcessorName = "),
        ("consumer/config/tenants.py", "class Processing:"),
        ("consumer/config/tenants.py", "def _settings("),
        ("consumer/plans.py", "def _processors("),
        ("consumer/config/reference.py", "_MEANINGS: "),
        ("consumer/explain/reasons.py", "_WORDS = "),
    ],
)
def test_the_places_that_the_page_sends_one_to_exist(file: str, place: str) -> None:
    name = re.findall(r"\w+", place.removeprefix("class ").removeprefix("def "))[0]
    assert f"`{file}`" in PAGE.read_text()
    assert name in PAGE.read_text()
    assert place in (PAGE.parents[1] / file).read_text()


def test_a_pipeline_takes_it_like_any_other(example: Any) -> None:
    def open_plan(*arguments: Any) -> Plan:
        plan = Plan(*arguments)
        plan.processors = (*plan.processors, processor(example))
        return plan

    tenants = settings_by_tenant(load_config(None, environ={}))
    pipeline = Pipeline(partial(open_decoder, Encoding.OTLP_PROTO), tenants, open_plan=open_plan)
    outcome: Outcome = pipeline.push(otlp.raw_records(values()))
    assert outcome.used["slow-spans"] == {"single-tenant": 4}
