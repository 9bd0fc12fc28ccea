"""Operators' own routes: each folder with an ``apps.py`` is a module, but for ``kit``."""
