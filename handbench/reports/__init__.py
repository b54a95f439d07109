"""Pages for people: one HTML file that shows what was scored, what was missing and how it went."""
