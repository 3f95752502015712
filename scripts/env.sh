#!/usr/bin/env bash
# Create .venv from requirements.lock with Python 3.11, unless it is up to date. Used by quickstart.sh and test.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

BASE_PYTHON=${BASE_PYTHON:-python3.11}
if ! command -v "$BASE_PYTHON" > /dev/null || ! "$BASE_PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    echo "error: Python 3.11 is needed, $BASE_PYTHON is not it; install it or set BASE_PYTHON=/path/to/python3.11" >&2
    exit 2
fi
source scripts/package_tables.sh
# The checkout is installed in place, so the environment belongs to this folder.
wanted=$( (cat requirements.lock requirements-torch.txt requirements-unirec.txt && package_tables && pwd) | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/made_from 2> /dev/null || true)" = "$wanted" ]; then
    exit 0
fi
echo "making .venv (torch, transformers, ...): 2.3 GB, which takes minutes" >&2
rm -rf .venv
"$BASE_PYTHON" -m venv .venv
install() { .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"; }
# pip compares the digest of a file before it opens it.
install --require-hashes --no-deps -r requirements.lock
install -r requirements-torch.txt
# UniRec pins a torch of 2022, so it is installed without dependencies; requirements.txt has the ones that it needs.
install --require-hashes --no-deps -r requirements-unirec.txt
# The backend that builds the checkout comes from pyproject.toml.
install --no-deps --editable .
# Written last, so that an interrupted installation starts again.
echo "$wanted" > .venv/made_from
