"""Tests against the real servers."""
