"""Makes the relay's calls in Alerta's process, as requests to its own API without a network.

So views, plugins, state machine, history, audit trail and `plugin.attribution` work as for a call by HTTP.
"""

from flask import g, request

from alerta_opsgenie.clients.alerta import answer_of, headers_of
from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.core.task import Call
from alerta_opsgenie.plugin import state
from alerta_opsgenie.plugin.callers import AS_BRIDGE, Caller, token_of

_OF_ONE_CALL = ("opsgenie_status", "opsgenie_timeout", "opsgenie_behalf", "opsgenie_bridge")
_OF_THE_OUTER = ("login", "user_id", "customers", "scopes", "request_id")


def perform(call: Call, caller: Caller) -> Answer:
    """Make one call of the relay: as the bridge and under the person's name if the caller is the bridge."""
    for name in _OF_ONE_CALL:  # a request within a request has the same `g` in Flask, and the same connection
        g.pop(name, None)
    if not caller.is_bridge:
        call = call._replace(on_behalf_of="")
    token, outer = token_of(caller, caller.scopes), {name: g.get(name) for name in _OF_THE_OUTER}
    client = state.application().test_client()
    response = client.open(
        call.path,
        method=call.method,
        json=call.body,
        headers={**headers_of(call, ""), "Authorization": f"Bearer {token}"},
        base_url=request.url_root,
        environ_overrides={AS_BRIDGE: caller.is_bridge, "REMOTE_ADDR": request.remote_addr or ""},
    )
    for name, value in outer.items():
        setattr(g, name, value)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return answer_of(response.status_code, headers, response.get_data(), token)
