"""The page in the browser, served by `run` together with its metrics, and by `status --web`."""
