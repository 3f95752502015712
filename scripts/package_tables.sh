# Sourced by the scripts that make environments: prints the tables of pyproject.toml that pip reads, with $BASE_PYTHON.
# Other tables, such as the settings of linters, change more often and must not make an environment of gigabytes again.
set -euo pipefail
package_tables() {
    "$BASE_PYTHON" - << 'PYTHON'
import json, tomllib
from pathlib import Path
tables = tomllib.loads(Path("pyproject.toml").read_text())
print(json.dumps([tables["build-system"], tables["project"], tables["tool"]["setuptools"]]))
PYTHON
}
