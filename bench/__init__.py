"""Figures and long proofs, measured on the server as production runs it; never in a test."""

import os

# The stand-in for Stripe looks at Django's settings before it lets itself be imported.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
