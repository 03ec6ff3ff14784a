"""Costs of methods: parameters, multiplications, time and memory."""
