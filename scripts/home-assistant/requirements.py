"""Print what Home Assistant's own integrations and the named ones require; runs in its environment.

Home Assistant would install it while it starts; so all is there before.
"""

import json
import sys
from pathlib import Path

import homeassistant
from homeassistant.bootstrap import DEFAULT_INTEGRATIONS

FOLDER = Path(homeassistant.__file__).parent / "components"

found: dict[str, list[str]] = {}
waiting = [*sys.argv[1:], *DEFAULT_INTEGRATIONS]
while waiting:
    name = waiting.pop()
    if name not in found:
        manifest = json.loads((FOLDER / name / "manifest.json").read_text("utf-8"))
        found[name] = manifest.get("requirements", [])
        waiting += manifest.get("dependencies", [])
print(*sorted({requirement for one in found.values() for requirement in one}), sep="\n")
