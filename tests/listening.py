"""The settings of a server with an operator's app that hears of payments."""

from __future__ import annotations

from coglex_project.settings import *  # noqa: F403
from coglex_project.settings import INSTALLED_APPS as APPS

INSTALLED_APPS = [*APPS, "tests.payments.listener.apps.ListenerConfig"]
