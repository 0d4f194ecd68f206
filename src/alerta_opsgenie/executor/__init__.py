"""The script that the vendor's Edge Connectors start once per action (standard library only)."""
