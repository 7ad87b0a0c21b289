# Completion of libcache(1) for bash.
# SPDX-License-Identifier: MIT

_libcache() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' segment=${LIBCACHE_SEGMENT-} option i
    local common='--name --redis --prefix --identity --policy-file --timeout --json --help --version'
    local commands='stat top get set del invalidate clear ls scan segments doctor metrics trace warm bench'
    local own='' operands=0

    COMPREPLY=()
    if [ "$word" = = ]; then # bash makes three words of --name=value
        word=''
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -n | --name | -r | --redis | --prefix | --identity | --policy-file | --timeout)
            option=${COMP_WORDS[i++]}
            [ "${COMP_WORDS[i]}" != = ] || i=$((i + 1))
            case $option in -n | --name) segment=${COMP_WORDS[i]} ;; esac
            ;;
        -*) ;;
        *) if [ -z "$command" ]; then command=${COMP_WORDS[i]}; else operands=$((operands + 1)); fi ;;
        esac
    done
    case $command in
    top) own='--once --count --interval --sort' ;;
    get) own='--local --times' ;;
    set) own='--ttl --tag --file --codec --flags --negative --add --local --no-publish' ;;
    del) own='--local --no-publish' ;;
    invalidate) own='--tag --namespace --all --local' ;;
    clear) own='--yes --local' ;;
    ls | scan) own='--namespace --tag --keys --values --limit' ;;
    segments) own='--all --names' ;;
    doctor) own='--admin-redis --max-staleness --redis-timeout' ;;
    metrics) own='--listen --count' ;;
    trace) own='--output --seconds --rate --namespace' ;;
    warm) own='--namespace --format --ttl --batch' ;;
    bench) own='--seconds --memory --keys --size' ;;
    esac
    case $before in
    -n | --name) COMPREPLY=($(compgen -W "$(libcache segments --names 2>/dev/null)" -- "$word")) ; return ;;
    -N | --namespace) COMPREPLY=($(compgen -W "$(_libcache_namespaces "$segment")" -- "$word")) ; return ;;
    -s | --sort) [ "$command" = top ] && COMPREPLY=($(compgen -W 'name gets miss evict bytes' -- "$word")) && return ;;
    -F | --format) COMPREPLY=($(compgen -W 'keys tsv json' -- "$word")) ; return ;;
    -f | --file | -o | --output | --policy-file) COMPREPLY=($(compgen -f -- "$word")) ; return ;;
    -r | --redis | --prefix | --identity | --timeout | --admin-redis) return ;;
    esac
    case $word in
    -*) COMPREPLY=($(compgen -W "$common $own" -- "$word")) ; return ;;
    esac
    case $command in
    '') COMPREPLY=($(compgen -W "$commands" -- "$word")) ;;
    warm) COMPREPLY=($(compgen -f -- "$word")) ;;
    get | set | del) [ $operands -eq 0 ] && COMPREPLY=($(compgen -W "$(_libcache_namespaces "$segment")" -- "$word")) ;;
    esac
}

# Of the segment that was named, or the only one.
_libcache_namespaces() {
    libcache ${1:+-n "$1"} stat --json 2>/dev/null | grep -o '"name": "[^"\\ ]*"' | cut -d '"' -f 4
}

complete -F _libcache libcache
