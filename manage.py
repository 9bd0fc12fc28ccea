#!/usr/bin/env python
"""Django's command line: `python manage.py help` lists the commands."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    """Run a command; a setting that is missing or wrong is one sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coglex_project.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"coglex: {error}")


if __name__ == "__main__":
    main()
