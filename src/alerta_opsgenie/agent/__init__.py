"""The deliverer with its journal, and the socket over which others hand actions to it."""
