"""What a registry says of the label sets that it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumer.registry.table import Flags
from processors.batch import Codes
from processors.delta import Family


@dataclass(frozen=True, slots=True)
class Found:
    """The ``labels`` of ``g`` label sets, and which families of each are ``alive`` (bool[g, f])."""

    labels: Sequence[Mapping[str, str]]
    alive: Flags


@dataclass(frozen=True, slots=True)
class Holding:
    """``g`` label sets of one tenant with the same label names.

    ``labels`` (uint32[g, k]) are codes into ``strings``. ``alive`` (bool[g, f]) says which
    of the ``families`` each has, ``sizes`` (int64[f]) how many series a family is.
    """

    tenant: str
    label_names: Sequence[str]
    families: Sequence[Family]
    sizes: NDArray[np.int64]
    labels: Codes
    alive: Flags
    strings: Sequence[str]
