"""`spanmill explain`: what became of each span of a file, and why.

``run`` is where to begin. The spans go through the real pipeline: ``spans`` numbers them on
the way in, ``trace`` and ``graph_witness`` take note of what the processors do with each,
``findings`` holds that, ``reasons`` and ``relatives`` put it into words, and ``report`` and
``prose`` write it down.
"""

from consumer.explain.run import Explanation, explain, run_explain

__all__ = ["Explanation", "explain", "run_explain"]
