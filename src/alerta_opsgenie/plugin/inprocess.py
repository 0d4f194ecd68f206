"""The relay's calls, made in Alerta's own process: requests to its own API that no network carries.

So views, plugins, state machine, history and audit trail work as they do for a call by HTTP, and what the bridge's key
may do is done by the same code (`plugin.attribution`).
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
    """Do one call of the relay's; where the caller lends names, under the person's name, as the bridge's own."""
    for name in _OF_ONE_CALL:  # Flask gives a request within a request the same `g`, and so the same connection
        g.pop(name, None)
    if not caller.lends_names:
        call = call._replace(on_behalf_of="")
    token, outer = token_of(caller, caller.scopes), {name: g.get(name) for name in _OF_THE_OUTER}
    client = state.application().test_client()
    response = client.open(
        call.path,
        method=call.method,
        json=call.body,
        headers={**headers_of(call, ""), "Authorization": f"Bearer {token}"},
        base_url=request.url_root,
        environ_overrides={AS_BRIDGE: caller.lends_names, "REMOTE_ADDR": request.remote_addr or ""},
    )
    for name, value in outer.items():
        setattr(g, name, value)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return answer_of(response.status_code, headers, response.get_data(), token)
