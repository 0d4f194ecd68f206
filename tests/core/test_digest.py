"""The digest that keys and names are made of."""

import hashlib
import subprocess
import sys

from alerta_opsgenie.core.digest import hex_digest


def test_it_is_sha_256() -> None:
    assert hex_digest(b"abc") == hashlib.sha256(b"abc").hexdigest()


def test_an_agent_starts_without_openssl() -> None:
    code = "import alerta_opsgenie.agent.server, sys; sys.exit('_hashlib' in sys.modules)"
    without_ssl = "import sys; sys.modules['ssl'] = None; "
    assert subprocess.run([sys.executable, "-c", without_ssl + code], check=False).returncode == 0
