"""The page in the browser: `run` serves it beside its metrics, `status --web` for as long as somebody looks."""
