"""Parse instants of the vendor and of Alerta."""

import re
from typing import Optional

SMALLEST_NS = 10**14
"""A larger number is in nanoseconds: milliseconds reach this in the year 5138."""

_SMALLEST_MS = 10**11  # seconds reach it in the year 5138


def seconds_by_size(value: int) -> float:
    """Convert to seconds. Seconds have 10 digits until the year 2286, milliseconds 13, nanoseconds 19."""
    if value >= SMALLEST_NS * 100:
        return value / 1e9
    return value / 1e3 if value >= _SMALLEST_MS else float(value)


def iso_seconds(text: str) -> Optional[float]:
    """Read an ISO 8601 instant as seconds since the epoch (UTC if it has no zone); None for any other text."""
    import datetime as dt  # noqa: PLC0415 - only snoozes and second looks need it

    match = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?\s*(?:Z|UTC|([+-]\d\d):?(\d\d))?",
        text.strip(),
        re.ASCII,
    )
    if match is None:
        return None
    day, clock, fraction, hours, minutes = match.groups()
    try:
        moment = dt.datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=dt.timezone.utc)
    except ValueError:
        return None
    shift = 0
    if hours:
        shift = (abs(int(hours)) * 3600 + int(minutes) * 60) * (-1 if hours.startswith("-") else 1)
    return moment.timestamp() - shift + (float(f"0.{fraction}") if fraction else 0.0)
