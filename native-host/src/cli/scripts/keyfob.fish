# Completions of keyfob for fish. `keyfob completions fish` writes this file; put it into
# ~/.config/fish/completions/keyfob.fish.

function __keyfob_complete
    set -l current (commandline -ct)
    set -l word (string unescape -- $current); or set word $current
    set -l lines (command keyfob complete fish -- (commandline -opc) "$word" 2>/dev/null </dev/null)
    if contains -- files $lines
        __fish_complete_path $current
        return
    end
    string replace -r '^=' '' -- $lines
end

complete --command keyfob --no-files --arguments '(__keyfob_complete)'
