#!/usr/bin/env bash
# Test the SGLang backend on SGLang's own classes, without a GPU: scripts/sglang_test.sh [flags of pytest]
# SGLang asks for CUDA builds of some forty packages. Its grammar classes import with few of them, which are installed
# into .venv-sglang next to the packages of .venv; no server can start there.
set -euo pipefail
cd "$(dirname "$0")/.."

bash scripts/env.sh
wanted=$( (cat requirements-sglang.lock .venv/made_from; pwd) | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv-sglang/made_from 2> /dev/null || true)" != "$wanted" ]; then
    echo "making .venv-sglang (SGLang's sources and what they import)" >&2
    rm -rf .venv-sglang
    .venv/bin/python -m venv .venv-sglang
    packages='import sysconfig; print(sysconfig.get_path("purelib"))'
    .venv/bin/python -c "$packages" > "$(.venv-sglang/bin/python -c "$packages")/project.pth"
    .venv-sglang/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-sglang.lock
    # Written last, so that an interrupted installation starts again.
    echo "$wanted" > .venv-sglang/made_from
fi
exec .venv-sglang/bin/python -m pytest tests/engines/test_sglang.py "$@"
