"""The synthetic hand: anatomy, poses, skin, rendering, written as a FreiHAND-like source."""
