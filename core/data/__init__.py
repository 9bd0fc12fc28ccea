"""The data layer: the only place that knows MongoDB's driver.

Services call its functions with plain values and get plain values, or an error of
``core.errors``; what a client sends goes through ``encoding`` and ``compiler`` first.
"""
