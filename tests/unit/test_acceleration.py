"""Which twin runs."""

from __future__ import annotations

import sys

import pytest

from consumer.acceleration import NativePairing, choose_pairing
from consumer.decode import Encoding, open_decoder
from consumer.errors import SpanmillError
from consumer.extension import is_native
from processors.batch import Projection
from processors.service_graphs.python_pairing import PythonPairing
from tests.support.decoding import require


def test_where_the_extension_is_built_the_native_twins_run() -> None:
    require("native")
    assert choose_pairing() is NativePairing
    assert open_decoder(Encoding.OTLP_PROTO, Projection()).implementation == "native"


def test_the_python_twins_run_when_asked_for() -> None:
    assert choose_pairing("python") is PythonPairing
    decoder = open_decoder(Encoding.OTLP_PROTO, Projection(), implementation="python")
    assert decoder.implementation == "python"


def test_without_the_extension_the_python_twins_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spanmill_native", None)
    assert choose_pairing() is PythonPairing
    assert open_decoder(Encoding.TEMPO, Projection()).implementation == "python"


def test_asking_for_an_extension_that_is_not_built_says_how_to_build_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "spanmill_native", None)
    with pytest.raises(SpanmillError, match="make setup"):
        is_native("native")
