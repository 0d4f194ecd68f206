"""SHA-256 without OpenSSL, which `hashlib` loads: 3 ms of an agent's first start. Python has a built-in SHA-256.

That module is private and has had two names. Where both are missing, `hashlib` returns the same digest.
"""

try:
    from _sha2 import sha256 as _sha256  # type: ignore[import-not-found]  # Python 3.12 and later
except ImportError:
    try:
        from _sha256 import sha256 as _sha256  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256 as _sha256


def hex_digest(data: bytes) -> str:
    """Return the SHA-256 as 64 hexadecimal digits."""
    return str(_sha256(data).hexdigest())
