"""Accuracy of a method while more and more of every query is covered."""
