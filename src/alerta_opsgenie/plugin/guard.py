"""Catches errors of the plugin, so that they do not make Alerta's request fail.

With `PLUGINS_RAISE_ON_ERROR` (the default) an exception in a hook makes Alerta answer 500 although the change may be
written already. So each hook is guarded: an error is logged with the alert's id and counted, and Alerta continues.
Intended refusals are exceptions of Alerta's own classes. They are not caught.
"""

import contextlib
import functools
from typing import Any, Callable, TypeVar, cast

from alerta.app import db
from alerta.exceptions import BaseError
from alerta.models.metrics import Counter
from flask import Response, after_this_request, has_request_context

from alerta_opsgenie.plugin import LOG

ERRORS = Counter(
    "opsgenie", "errors", "Opsgenie plugin errors", "Errors of the opsgenie plugin that Alerta passed over"
)
STALE = Counter("opsgenie", "stale", "Stale actions", "Actions of the bridge that were not done because they came late")

_DONE = (200, 201)

Hook = TypeVar("Hook", bound=Callable[..., Any])


def guarded(otherwise: Callable[[Any], Any]) -> Callable[[Hook], Hook]:
    """Guard a hook of the plugin. After an error the hook returns `otherwise(alert)`."""

    def decorate(hook: Hook) -> Hook:
        @functools.wraps(hook)
        def run(plugin: Any, alert: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return hook(plugin, alert, *args, **kwargs)
            except BaseError:
                raise
            except Exception:  # noqa: BLE001 - no error of the plugin may make Alerta's request fail
                report(f"{hook.__name__} of alert {getattr(alert, 'id', '?')}")
                return otherwise(alert)

        return cast("Hook", run)

    return decorate


def attempt(what: str, do: Callable[[], object]) -> None:
    """Call `do`, and log and count an error."""
    try:
        do()
    except BaseError:
        raise
    except Exception:  # noqa: BLE001 - as above
        report(what)


def after_request(what: str, do: Callable[[Response], object]) -> None:
    """Call `do` with the response of the current request. It may return another; an error leaves the response as is."""

    @after_this_request
    def done(response: Response) -> Response:
        try:
            changed = do(response)
        except Exception:  # noqa: BLE001 - the change is written, so the response has to stay
            report(what)
            return response
        return changed if isinstance(changed, Response) else response


def after_success(what: str, do: Callable[[], object]) -> None:
    """Call `do` once the current request has succeeded; at once outside of a request."""
    if not has_request_context():
        do()
        return

    def done(response: Response) -> None:
        if response.status_code in _DONE:
            do()

    after_request(what, done)


def report(what: str) -> None:
    """Log the current exception and count it."""
    LOG.exception("opsgenie: an error of the plugin, in %s; Alerta continues without it", what)
    with contextlib.suppress(Exception):
        _end_transaction()
    count(ERRORS)


def count(counter: Counter) -> None:
    """Add 1 to a counter of Alerta. An error of its database is ignored: the event is in the log already."""
    with contextlib.suppress(Exception):
        counter.inc()


def _end_transaction() -> None:
    """Roll back Alerta's transaction: after an error PostgreSQL refuses its next statements.

    Alerta commits each write by itself, so no write is lost.
    """
    connection = db.get_db()
    if type(connection).__module__.startswith("psycopg2"):
        connection.rollback()
