"""An example module: customers order products; the shop sees what runs out."""
