# Catalogs of a server, for scripts that source this file after dataset_name.sh. They define usage, which ends them.

set -euo pipefail
fail() { echo "error: $1" >&2; exit 2; }

# Set RECLM_CATALOGS to the folders of datasets in data/dataset (DATA_ROOT): catalogs_of NAME[,NAME...]
catalogs_of() {
    local root=${DATA_ROOT:-data/dataset} catalogs="" given=() one name
    IFS=, read -ra given <<< "$1"
    for one in ${given[@]+"${given[@]}"}; do
        name=$(dataset_name "$one") || usage
        [[ $name != *[\"\\]* ]] || fail "the dataset is called $name; a name with quotes cannot be served"
        [ -d "$root/$name" ] || fail "there is no dataset folder $root/$name; preprocess it, or set DATA_ROOT"
        catalogs+="${catalogs:+, }\"$name\": \"$(cd "$root/$name" && pwd)\""
    done
    [ -n "$catalogs" ] || usage
    export RECLM_CATALOGS="{$catalogs}"
}
