"""`spanmill forecast`: how many series a configuration makes, and what would change that.

``run`` is where to begin. ``keys`` finds the attributes of the input, ``replay`` lets its
spans through the real pipeline under one configuration after another, ``estimate`` asks the
questions, and ``tables`` writes the answers down.
"""

from consumer.forecast.run import forecast, run_forecast

__all__ = ["forecast", "run_forecast"]
