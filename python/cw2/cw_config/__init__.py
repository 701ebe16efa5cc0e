"""Configurations: files in, one dictionary a repetition out."""
