"""Keeps an error of ours from becoming an error of Alerta's.

With `PLUGINS_RAISE_ON_ERROR` (the default) an exception in a hook makes Alerta answer 500 although the change may be
written already. So each hook is guarded: an error is logged with the alert's id and counted, and Alerta goes on.
Refusals that are meant are exceptions of Alerta's own kinds; they pass.
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
    """Guard a hook of the plugin's; `otherwise` gives from the alert what the hook answers after an error."""

    def decorate(hook: Hook) -> Hook:
        @functools.wraps(hook)
        def run(plugin: Any, alert: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return hook(plugin, alert, *args, **kwargs)
            except BaseError:
                raise
            except Exception:  # noqa: BLE001 - whatever it is, Alerta's request is not to fail by it
                report(f"{hook.__name__} of alert {getattr(alert, 'id', '?')}")
                return otherwise(alert)

        return cast("Hook", run)

    return decorate


def attempt(what: str, do: Callable[[], object]) -> None:
    """Do something; an error is reported, and goes no further."""
    try:
        do()
    except BaseError:
        raise
    except Exception:  # noqa: BLE001 - as above
        report(what)


def after_request(what: str, do: Callable[[Response], object]) -> None:
    """Do something with the answer of the present request, once it is made; an error leaves the answer as it is."""

    @after_this_request
    def done(response: Response) -> Response:
        try:
            changed = do(response)
        except Exception:  # noqa: BLE001 - the change is written; the answer has to say so
            report(what)
            return response
        return changed if isinstance(changed, Response) else response


def after_success(what: str, do: Callable[[], object]) -> None:
    """Do something once the present request has succeeded; at once where there is none."""
    if not has_request_context():
        do()
        return

    def done(response: Response) -> None:
        if response.status_code in _DONE:
            do()

    after_request(what, done)


def report(what: str) -> None:
    """Log the present exception and count it."""
    LOG.exception("opsgenie: an error of the plugin, in %s; Alerta goes on without it", what)
    with contextlib.suppress(Exception):
        _end_transaction()
    count(ERRORS)


def count(counter: Counter) -> None:
    """Count in Alerta's metrics; where its database cannot, the log has it all the same."""
    with contextlib.suppress(Exception):
        counter.inc()


def _end_transaction() -> None:
    """After an error PostgreSQL refuses all of a transaction, and the connection is Alerta's. It commits each write."""
    connection = db.get_db()
    if type(connection).__module__.startswith("psycopg2"):
        connection.rollback()
