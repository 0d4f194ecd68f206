"""The Edge Connector's own files and habits: its configuration, the way it starts a script, its host layout."""
