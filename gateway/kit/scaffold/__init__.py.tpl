"""The module ${name}, at /gateway/${name}/."""
