from __future__ import annotations

import sys

import pytest

from consumer.decode import Encoding, open_decoder
from consumer.errors import SpanmillError
from processors.batch import Projection


@pytest.fixture
def not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spanmill_native", None)
    monkeypatch.delitem(sys.modules, "consumer.decode.native", raising=False)


@pytest.mark.usefixtures("not_built")
@pytest.mark.parametrize("encoding", list(Encoding))
def test_without_the_extension_the_twin_decodes(encoding: Encoding) -> None:
    assert open_decoder(encoding, Projection()).implementation == "python"


@pytest.mark.usefixtures("not_built")
def test_asking_for_a_native_decoder_that_is_not_built_is_an_error() -> None:
    with pytest.raises(SpanmillError, match="not built"):
        open_decoder(Encoding.OTLP_PROTO, Projection(), implementation="native")


def test_the_twin_can_be_asked_for() -> None:
    decoder = open_decoder(Encoding.OTLP_JSON, Projection(), implementation="python")
    assert decoder.implementation == "python"
