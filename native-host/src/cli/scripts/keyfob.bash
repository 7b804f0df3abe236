# Completions of keyfob for bash. `keyfob completions bash` writes this file; put it into
# ~/.local/share/bash-completion/completions/keyfob, or source it in ~/.bashrc.

_keyfob() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            # An empty answer, and the names of files in its place.
            files) compopt -o default 2>/dev/null ;;
            '='*) COMPREPLY+=("${line#=}") ;;
        esac
    done < <(command keyfob complete bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null </dev/null)
}

complete -F _keyfob keyfob
