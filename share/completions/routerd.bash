# Made of the commands by `make reference`.
_routerd_peers() {
    routerd peers --json 2>/dev/null | sed -n 's/^ *"\(name\|address\)": "\(.*\)",$/\2/p' | sort -u
}
_routerd() {
    local line=${COMP_LINE:0:COMP_POINT} words current before command= word
    read -a words <<< "$line"
    [[ $line != *[[:space:]] ]] || words+=('')
    current=${words[-1]} before=${words[-2]}
    [[ $current != --*=* ]] || { before=${current%%=*}; current=${current#*=}; }
    for word in "${words[@]:1:${#words[@]}-2}"; do
        [[ $word == -* ]] || { command=$word; break; }
    done
    COMPREPLY=()
    _routerd_words
    # What stands before a colon bash takes for a word of its own.
    [[ $current != *:* || $COMP_WORDBREAKS != *:* ]] ||
        COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
}
_routerd_words() {
    case $command in
    '') mapfile -t COMPREPLY < <(compgen -W "status peers routes route groups peer flow fib pair health top drain undrain clear shutdown enable log version diff reload confirm rollback config events fleet dump run flush check import export lab -h --help -V --version" -- "$current") ;;
    status)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -w --watch -h --help" -- "$current")
        else
            return
        fi
        ;;
    peers)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -h --help" -- "$current")
        else
            return
        fi
        ;;
    routes)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --peer) mapfile -t COMPREPLY < <(compgen -W "$(_routerd_peers)" -- "$current"); return ;;
        --longer) return; return ;;
        --shorter) return; return ;;
        --state) mapfile -t COMPREPLY < <(compgen -W "in-fib out stale refused local rejected" -- "$current"); return ;;
        --community) return; return ;;
        --as-path) return; return ;;
        --limit) return; return ;;
        --offset) return; return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json --peer --longer --shorter --state --community --as-path --limit --offset -h --help" -- "$current")
        else
            return
        fi
        ;;
    route)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -h --help" -- "$current")
        else
            return
        fi
        ;;
    groups)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -h --help" -- "$current")
        else
            return
        fi
        ;;
    peer)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --limit) return; return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json --limit -h --help" -- "$current")
        else
            mapfile -t COMPREPLY < <(compgen -W "$(_routerd_peers)" -- "$current")
        fi
        ;;
    flow)
        case $before in
        --proto) mapfile -t COMPREPLY < <(compgen -W "tcp udp icmp" -- "$current"); return ;;
        -i | --interface) return; return ;;
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "--proto -i --interface -s --socket --json -h --help" -- "$current")
        else
            return
        fi
        ;;
    fib)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --limit) return; return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json --limit -h --help" -- "$current")
        else
            return
        fi
        ;;
    pair)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -a --all -w --watch --set-seed -h --help" -- "$current")
        else
            return
        fi
        ;;
    health)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --at-least) return; return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json --at-least -h --help" -- "$current")
        else
            return
        fi
        ;;
    top)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --interval) return; return ;;
        --limit) return; return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json --once --interval --limit -h --help" -- "$current")
        else
            return
        fi
        ;;
    drain)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --timeout) return; return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "--self -s --socket --json --wait --timeout -h --help" -- "$current")
        else
            mapfile -t COMPREPLY < <(compgen -W "$(_routerd_peers)" -- "$current")
        fi
        ;;
    undrain)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "--self -s --socket --json -h --help" -- "$current")
        else
            mapfile -t COMPREPLY < <(compgen -W "$(_routerd_peers)" -- "$current")
        fi
        ;;
    clear)
        case $before in
        --soft) mapfile -t COMPREPLY < <(compgen -W "in out" -- "$current"); return ;;
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "--soft -s --socket --json -h --help" -- "$current")
        else
            mapfile -t COMPREPLY < <(compgen -W "$(_routerd_peers)" -- "$current")
        fi
        ;;
    shutdown)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -h --help" -- "$current")
        else
            mapfile -t COMPREPLY < <(compgen -W "$(_routerd_peers)" -- "$current")
        fi
        ;;
    enable)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -h --help" -- "$current")
        else
            mapfile -t COMPREPLY < <(compgen -W "$(_routerd_peers)" -- "$current")
        fi
        ;;
    log)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -h --help" -- "$current")
        else
            mapfile -t COMPREPLY < <(compgen -W "debug info warning error" -- "$current")
        fi
        ;;
    version)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -h --help" -- "$current")
        else
            return
        fi
        ;;
    diff)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -h --help" -- "$current")
        else
            compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current")
        fi
        ;;
    reload)
        case $before in
        --confirm) return; return ;;
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "--confirm -s --socket --json -h --help" -- "$current")
        else
            compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current")
        fi
        ;;
    confirm)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -h --help" -- "$current")
        else
            return
        fi
        ;;
    rollback)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -h --help" -- "$current")
        else
            return
        fi
        ;;
    config)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -h --help" -- "$current")
        else
            mapfile -t COMPREPLY < <(compgen -W "history" -- "$current")
        fi
        ;;
    events)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --since) return; return ;;
        --peer) mapfile -t COMPREPLY < <(compgen -W "$(_routerd_peers)" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket --json -f --follow --since --peer -h --help" -- "$current")
        else
            return
        fi
        ;;
    fleet)
        case $before in
        -c | --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --broker) return; return ;;
        --site) return; return ;;
        --user) return; return ;;
        --password-file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --ca-file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --certificate-file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --key-file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --fleet-key-file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --timeout) return; return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-w --watch --json -c --config --broker --site --user --password-file --ca-file --certificate-file --key-file --fleet-key-file --timeout --reachable -h --help" -- "$current")
        else
            mapfile -t COMPREPLY < <(compgen -W "drain undrain $(_routerd_peers)" -- "$current")
        fi
        ;;
    dump)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-s --socket -h --help" -- "$current")
        else
            compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current")
        fi
        ;;
    run)
        case $before in
        -c | --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --log-level) return; return ;;
        --log-format) return; return ;;
        --record) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --journal) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-c --config --flush-on-exit --no-flush-on-exit --log-level --log-format --record --journal -h --help" -- "$current")
        else
            return
        fi
        ;;
    flush)
        case $before in
        -c | --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-c --config --force -h --help" -- "$current")
        else
            return
        fi
        ;;
    check)
        case $before in
        -s | --socket) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "--live -s --socket --json -h --help" -- "$current")
        else
            compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current")
        fi
        ;;
    import)
        case $before in
        --router-id) return; return ;;
        -o | --output) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "--router-id -o --output -h --help" -- "$current")
        else
            compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "frr" -- "$current")
        fi
        ;;
    export)
        case $before in
        -c | --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -W "" -- "$current"); return ;;
        --asn) return; return ;;
        --router-address) return; return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "-c --config --asn --router-address -h --help" -- "$current")
        else
            mapfile -t COMPREPLY < <(compgen -W "cilium metallb calico" -- "$current")
        fi
        ;;
    lab)
        case $before in
        --speaker) return; return ;;
        esac
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "--speaker --keep --no-keep --observe --pair -h --help" -- "$current")
        else
            return
        fi
        ;;
    esac
}
complete -F _routerd routerd
