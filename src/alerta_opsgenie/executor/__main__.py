"""`python -m alerta_opsgenie.executor`: the executor from an installed package; `executor.build` makes the one file."""

import sys

from alerta_opsgenie import __version__
from alerta_opsgenie.agent.client import PACKAGE
from alerta_opsgenie.executor.start import main

sys.exit(main(list(PACKAGE), __version__))
