# Sourced: dataset_name TEXT prints the name of a dataset, which is a folder name, without the trailing slash of shell
# completion. For a text that is not a name it prints no output and returns 1.
set -euo pipefail
dataset_name() {
    local name=${1%/}
    if [[ ! $name =~ ^[^/,.-][^/,]*$ || $name =~ [[:cntrl:]] ]]; then return 1; fi
    printf '%s' "$name"
}
