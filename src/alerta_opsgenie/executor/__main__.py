"""Where Python begins with the one-file executor, and with `python -m alerta_opsgenie.executor`.

This file alone is read by any Python (the connectors start whatever `python` is), so it keeps to syntax that Python 2
knows, and says so when it is too old.
"""

import sys

if sys.version_info < (3, 9):  # noqa: UP036
    sys.stderr.write(
        "oecAlertaExecutor needs Python 3.9 or later, and `python` here is older: make the `python` on the PATH "
        "a newer one, or map the actions to the file without .py\n"
    )
    sys.exit(2)

# `http.client` imports `ssl` where it can, which costs 10 ms. We make our own TLS connections and import it for those.
sys.modules["ssl"] = None  # type: ignore[assignment]
import http.client  # noqa: E402, F401

del sys.modules["ssl"]

from alerta_opsgenie.executor.script import run_as_script  # noqa: E402

sys.exit(run_as_script())
