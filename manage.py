#!/usr/bin/env python
"""Django's command line: `python manage.py help` lists the commands."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run a command; a setting that is missing or wrong is one sentence, not a traceback."""
    if sys.argv[1:] == ["supervise"]:
        # What `serve` becomes: it needs no Django.
        from core import supervisor

        supervisor.main()
        return
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from core.http import framework

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coglex_project.settings")
    try:
        framework.load()
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"coglex: {error}")


if __name__ == "__main__":
    main()
