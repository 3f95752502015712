# Sourced: dataset_name TEXT prints the name of a dataset, the name of a folder, without the slash that completion
# leaves; nothing, with status 1, for a text that is no name.
set -euo pipefail
dataset_name() {
    local name=${1%/}
    if [[ ! $name =~ ^[^/,.-][^/,]*$ || $name =~ [[:cntrl:]] ]]; then return 1; fi
    printf '%s' "$name"
}
