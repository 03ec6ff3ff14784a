"""``cards``: what results were measured on, and whether they compare; a module per command."""
