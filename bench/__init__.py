"""Figures and long proofs, measured on the server as production runs it; never in a test."""
