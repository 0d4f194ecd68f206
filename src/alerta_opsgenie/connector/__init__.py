"""The native connector: one asyncio process in the place of OEC or JEC."""
