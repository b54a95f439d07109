"""Leaderboards: results of many models, with published ones beside them, as a static site."""
