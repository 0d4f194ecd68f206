"""The deliverer with its journal, and the Unix socket on which it accepts actions from other processes."""
