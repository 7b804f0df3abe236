#compdef keyfob
# Completions of keyfob for zsh. `keyfob completions zsh` writes this file; put it as _keyfob into a folder of $fpath, or
# source it in ~/.zshrc after compinit.

_keyfob() {
    local line value
    local -a values shown
    while IFS= read -r line; do
        case $line in
            files)
                _files
                return
                ;;
            '='*)
                line=${line#=}
                value=${line%%$'\t'*}
                values+=("$value")
                shown+=("$value${${line#"$value"}:+  -- ${line#*$'\t'}}")
                ;;
        esac
    done < <(command keyfob complete zsh -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null </dev/null)
    compadd -l -d shown -a values
}

if [[ ${funcstack[1]} == _keyfob ]]; then
    _keyfob "$@"
else
    compdef _keyfob keyfob
fi
