"""Scripts that are not ours, run as OEC and JEC run them, each in a thread of its own and with a time limit.

The threads are daemons: a script that outlives our patience at the end does not hold the process.
"""

from __future__ import annotations

import asyncio
import threading

from alerta_opsgenie.vendor.config import EdgeConfig
from alerta_opsgenie.vendor.runner import Host, ScriptResult, run_message


async def run_script(config: EdgeConfig, body: str, message_id: str, time_limit_seconds: float) -> ScriptResult:
    """Run the script that a message is mapped to, to its end. Cancelled, it leaves the script running."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[ScriptResult] = loop.create_future()

    def tell(result: ScriptResult | None, error: Exception | None) -> None:
        if ended.done():
            return
        if error is not None:
            ended.set_exception(error)
        elif result is not None:
            ended.set_result(result)

    def run() -> None:
        result, error = None, None
        try:
            result = run_message(config, body, message_id=message_id, host=Host(time_limit_seconds=time_limit_seconds))
        except Exception as caught:  # noqa: BLE001 - raised again in the task that waits
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=run, name="script", daemon=True).start()
    return await ended
