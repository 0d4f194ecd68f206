"""The native connector: one process with threads that replaces OEC or JEC."""
