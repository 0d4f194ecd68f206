"""`python -m alerta_opsgenie.executor`: the executor from an installed package; `executor.build` makes the one file."""

import sys

from alerta_opsgenie import __version__
from alerta_opsgenie.executor.full import program_of_package
from alerta_opsgenie.executor.start import main

sys.exit(main(program_of_package(), __version__))
