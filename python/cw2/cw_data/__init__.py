"""Loggers, and what reads their files back."""
