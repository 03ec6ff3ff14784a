"""``data``: data sets and occluder sets, drawn, checked and built; a module per command."""
