#!/bin/sh
# Fetch the three checkpoints of the paper into models/: the original's command. The work is done by get_models.py.
exec "${PYTHON:-python3}" "$(dirname -- "$0")/get_models.py" st_gcn
