"""Send one heartbeat with the unmodified manualwakatime 0.2.0: KEY PROJECT API_URL; print its status and answer."""

import importlib.util
import json
import sys
import types

if importlib.util.find_spec("tkinter") is None:  # its window is not used here; slim Pythons lack the module
    sys.modules["tkinter"] = types.ModuleType("tkinter")

from mwt.__main__ import send_heartbeat

print(json.dumps(send_heartbeat(*sys.argv[1:4])))
