#compdef libcache
# Completion of libcache(1) for zsh: commands and options are what --help says of them. SPDX-License-Identifier: MIT

# Of the segment that was named, or the only one.
_libcache_namespaces() {
    local -a names=(${(f)"$(_call_program namespaces libcache stat ${libcache_segment:+-n} $libcache_segment --json 2>/dev/null |
        grep -o '"name": "[^"\\]*"' | cut -d '"' -f 4)"})

    _wanted namespaces expl namespace compadd -a names
}

_libcache_segments() {
    local -a names=(${(f)"$(_call_program segments libcache segments --names 2>/dev/null)"})

    _wanted segments expl segment compadd -a names
}

# Fills specs with the options of a command ('': those of all), as _arguments wants them.
_libcache_options() {
    local line both text value action plus=+
    local -A actions=(name _libcache_segments namespace _libcache_namespaces file _files policy-file _files
        sort '(name gets miss evict bytes)' format '(keys tsv json)')

    specs=()
    for line in ${(f)"$(_call_program options libcache $1 --help 2>/dev/null)"}; do
        [[ $line =~ '^ +(-([A-Za-z0-9]), )?--([a-z-]+)( ([^ ]+))?  +(.+)$' ]] || continue
        text=${${match[6]//\[/\\[}//\]/\\]} value='' action=${actions[$match[3]]:- }
        [[ -z $match[5] ]] || value=":${match[5]//:/\\:}:$action"
        both="(${match[2]:+-$match[2] }--$match[3])"
        [[ $match[3] != tag ]] || both='*'
        specs+=("$both--$match[3]${value:+=}[$text]$value")
        [[ -z $match[2] ]] || specs+=("$both-$match[2]${value:+$plus}[$text]$value")
    done
}

_libcache() {
    local curcontext=$curcontext state libcache_segment=$LIBCACHE_SEGMENT
    local -a specs commands line match mbegin mend
    local -A opt_args
    local -i i

    for ((i = 2; i < CURRENT; i++)); do
        case $words[i] in
        -n | --name) libcache_segment=$words[++i] ;;
        --name=*) libcache_segment=${words[i]#*=} ;;
        esac
    done
    _libcache_options ''
    _arguments -C -S -A '-*' $specs '1:command:->command' '*::operand:->operand' && return
    case $state in
    command)
        commands=(${(f)"$(_call_program commands libcache --help 2>/dev/null | sed -n '/^Commands:/,/^$/ s/^  \([a-z]*\) */\1:/p')"} 'scan:list entries')
        _describe -t commands command commands
        ;;
    operand)
        _libcache_options $words[1]
        case $words[1] in
        get | set | del) specs+=('1:namespace:_libcache_namespaces' '*: : ') ;;
        warm) specs+=('1:file:_files') ;;
        esac
        _arguments -S $specs
        ;;
    esac
}

_libcache "$@"
