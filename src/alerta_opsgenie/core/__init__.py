"""The brain of the bridge: pure functions and data, without I/O, clock, randomness or environment."""
