"""Every cause of "nothing happens", each with what to do about it."""
