"""The one room that imports fast-reid; importing it registers everything FED has."""
