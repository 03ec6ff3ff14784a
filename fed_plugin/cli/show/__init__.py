"""``show``: pictures of what happens inside; a module per command."""
