#!/usr/bin/env bash
# Serve a merged model by SGLang with its catalogs: scripts/sglang_serve.sh NAME MODEL [PORT] [flags]
# NAME is a dataset in data/dataset (DATA_ROOT), or several separated by commas. SGLANG_PYTHON is the Python of an
# environment with sglang 0.5.23 for the GPU and the plugin (pip install --no-deps . there). Flags:
#   --require_catalog   refuse requests without a catalog
# All other flags are SGLang's (--tp 2, --mem-fraction-static 0.8).
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/dataset_name.sh
source scripts/catalogs.sh

served_arguments 30000 "$@"
set -- ${rest[@]+"${rest[@]}"}
flags=()
for flag in "$@"; do
    if [ "$flag" = --require_catalog ]; then export RECLM_REQUIRE_CATALOG=1; else flags+=("$flag"); fi
done

python=${SGLANG_PYTHON:-}
[ -n "$python" ] || fail "SGLANG_PYTHON is not set; it is the Python of an environment with SGLang, which needs a GPU"
"$python" -c 'import sys; from importlib.metadata import entry_points; sys.exit(not any(e.name == "reclm" for e in entry_points(group="sglang.srt.plugins")))' ||
    fail "the plugin is not in the environment of $python; install it there: $python -m pip install --no-deps ."
[[ -z ${SGLANG_PLUGINS:-} || ,$SGLANG_PLUGINS, == *,reclm,* ]] || fail "SGLANG_PLUGINS is '$SGLANG_PLUGINS' and leaves the plugin out; add reclm"
exec "$python" -m sglang.launch_server --model-path "$model" --served-model-name reclm --host 127.0.0.1 --port "$port" \
    --grammar-backend reclm ${flags[@]+"${flags[@]}"}
