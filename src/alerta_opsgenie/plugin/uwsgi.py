"""Special cases for uWSGI: its workers may run no threads, and may end after seconds.

Alerta's image ends each worker after 30 s. The next one has had no request, so it has not started to send. So a timer
of uWSGI's master calls every worker (https://uwsgi-docs.readthedocs.io/en/latest/Signals.html).
"""

import sys
from typing import Any, Callable

from flask import Flask

_WITH_THREADS = (2, 0, 30)
"""From this version on threads are always enabled; in 2.0.26 they were not (tried; the change logs do not name it)."""
_LOOK_SECONDS = 2
_SIGNALS = range(255, -1, -1)  # a server's own configuration counts from 0
_installed = False


def threads_run() -> bool:
    """Whether threads run between requests: in an older uWSGI only with one of these options."""
    uwsgi = _uwsgi()
    if not uwsgi or tuple(uwsgi.version_info[:3]) >= _WITH_THREADS:
        return True
    return "enable-threads" in uwsgi.opt or "threads" in uwsgi.opt


def install(look: Callable[[Flask], None]) -> None:
    """Call `look` with the application every few seconds in each worker of uWSGI; do nothing without uWSGI."""
    global _installed  # noqa: PLW0603 - Alerta makes the plugin once for each application
    if _installed or _uwsgi() is None:
        return
    _installed = True
    from alerta.webhooks import webhooks  # noqa: PLC0415 - Alerta loads it after the plugins

    # Alerta gives the plugin no application. A blueprint gets it when it is registered.
    webhooks.record(lambda setup: _watch(setup.app, look))


def _watch(app: Flask, look: Callable[[Flask], None]) -> None:
    uwsgi = _uwsgi()
    if uwsgi.worker_id():  # with lazy-apps each worker makes its own application
        look(app)
    elif uwsgi.masterpid():
        signal = next(number for number in _SIGNALS if not uwsgi.signal_registered(number))
        uwsgi.register_signal(signal, "workers", lambda _signal: look(app))
        uwsgi.add_timer(signal, _LOOK_SECONDS)


def _uwsgi() -> Any:
    """Return uWSGI's own module, which exists only inside uWSGI."""
    return sys.modules.get("uwsgi")
