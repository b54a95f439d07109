"""The web demo: a page that takes a photo of a hand, and the same over REST."""
