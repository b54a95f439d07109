"""Everything that finds 21 points on a hand, behind one call: our baseline and models of others."""
