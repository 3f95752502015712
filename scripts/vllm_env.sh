#!/usr/bin/env bash
# Create .venv-vllm with vLLM for CPUs and this project's plugin, unless it is up to date. Used by vllm_serve.sh.
# A GPU machine has an environment of its own, with vllm 0.32 for its driver: VLLM_PYTHON=/path/to/its/python
# scripts/vllm_env.sh installs only the plugin there.
set -euo pipefail
cd "$(dirname "$0")/.."

install() { "$1" -m pip install --quiet --disable-pip-version-check "${@:2}"; }
if [ -n "${VLLM_PYTHON:-}" ]; then
    # The project's own requirements are those of training and of its own engine; the plugin needs NumPy and tokenizers.
    install "$VLLM_PYTHON" --no-deps --editable .
    exit 0
fi
BASE_PYTHON=${BASE_PYTHON:-python3.11}
if ! command -v "$BASE_PYTHON" > /dev/null || ! "$BASE_PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    echo "error: Python 3.11 is needed, $BASE_PYTHON is not it; install it or set BASE_PYTHON=/path/to/python3.11" >&2
    exit 2
fi
source scripts/package_tables.sh
# The checkout is installed in place, so the environment belongs to this folder.
wanted=$( (cat requirements-vllm.lock requirements-torch.txt && package_tables && pwd) | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv-vllm/made_from 2> /dev/null || true)" = "$wanted" ]; then
    exit 0
fi
echo "making .venv-vllm (vLLM for CPUs, 3.4 GB)" >&2
rm -rf .venv-vllm
"$BASE_PYTHON" -m venv .venv-vllm
python=.venv-vllm/bin/python
torch=$(grep '^torch==' requirements-torch.txt)
# An index that has several builds gives the one for CPUs by its name; another has one build alone.
install "$python" "$torch+cpu" 2> /dev/null || install "$python" "$torch"
install "$python" --require-hashes --no-deps -r requirements-vllm.lock
install "$python" --no-deps --editable .
# Written last, so that an interrupted installation starts again.
echo "$wanted" > .venv-vllm/made_from
