"""What modules are found, mounted and written with, and what they build on."""
