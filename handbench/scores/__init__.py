"""Predictions against truth: named metrics, protocols, intervals, comparison, results."""
