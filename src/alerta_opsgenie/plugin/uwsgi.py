"""What uWSGI needs and other servers do not: its workers may run no threads, and may end after seconds.

The vendor's image ends each worker after 30 s, and the next one has no request yet and so has started nothing. So a
timer of uWSGI's master has every worker look (https://uwsgi-docs.readthedocs.io/en/latest/Signals.html).
"""

import sys
from typing import Any, Callable

from flask import Flask

_WITH_THREADS = (2, 0, 30)
"""From here on `enable-threads` is how uWSGI always is; with 2.0.26 it was not (tried; its change logs are silent)."""
_LOOK_SECONDS = 2
_SIGNALS = range(255, -1, -1)  # a server's own configuration counts from 0
_installed = False


def threads_run() -> bool:
    """Whether threads get on between requests: under an older uWSGI they stand still without one of these options."""
    uwsgi = _uwsgi()
    if not uwsgi or tuple(uwsgi.version_info[:3]) >= _WITH_THREADS:
        return True
    return "enable-threads" in uwsgi.opt or "threads" in uwsgi.opt


def install(look: Callable[[Flask], None]) -> None:
    """Call `look` every few seconds in each worker, with the application that is being made; nothing elsewhere."""
    global _installed  # noqa: PLW0603 - Alerta makes the plugin once for each application
    if _installed or _uwsgi() is None:
        return
    _installed = True
    from alerta.webhooks import webhooks  # noqa: PLC0415 - Alerta loads it after the plugins

    # The plugin never sees the application; a blueprint does, as soon as it is registered.
    webhooks.record(lambda setup: _watch(setup.app, look))


def _watch(app: Flask, look: Callable[[Flask], None]) -> None:
    uwsgi = _uwsgi()
    if uwsgi.worker_id():  # lazy-apps: each worker makes its own application
        look(app)
    elif uwsgi.masterpid():
        signal = next(number for number in _SIGNALS if not uwsgi.signal_registered(number))
        uwsgi.register_signal(signal, "workers", lambda _signal: look(app))
        uwsgi.add_timer(signal, _LOOK_SECONDS)


def _uwsgi() -> Any:
    """Give uWSGI's own module, which exists inside it alone."""
    return sys.modules.get("uwsgi")
