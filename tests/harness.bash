# What the scripts that drive the gateway with other people's programs share: tests/clients/run, tests/conformance/run,
# tests/management/run and others.
#
# A script sets `script` (its name in messages) and `work` (a folder for logs and packages), and sources this file.
# Needs bash 4.4, and npm or Python with venv and pip.

mkdir -p "$work/logs"
work=$(cd "$work" && pwd)

passed=0
failed=0
children=() # what we started and have not stopped yet

say() { printf '%s\n' "$*"; }
die() { say "$script: $*" >&2; exit 2; }
fail() { failed=$((failed + 1)); say "FAIL $*"; }
pass() { passed=$((passed + 1)); say "ok   $*"; }

# --- installing -------------------------------------------------------------------------------------------------------

# up_to_date DIR TEXT: whether DIR was made from TEXT (what its packages depend on).
up_to_date() { [[ -f $1/.made-from && $(<"$1/.made-from") == "$2" ]]; }

# install_npm DIR: the packages that DIR's package-lock.json names, into $work/node.
install_npm() {
    local from
    from=$(node --version; sha256sum <"$1/package-lock.json"; sha256sum <"$1/package.json")
    mkdir -p "$work/node"
    up_to_date "$work/node" "$from" && return
    say "# npm ci"
    rm -f "$work/node/.made-from"
    cp "$1"/{package.json,package-lock.json,.npmrc} "$work/node/"
    (cd "$work/node" && npm ci --ignore-scripts --no-audit --no-fund </dev/null) >"$work/logs/npm.log" 2>&1 ||
        { cat "$work/logs/npm.log" >&2; die "npm ci failed"; }
    printf '%s' "$from" >"$work/node/.made-from"
}

# install_python DIR: the packages of DIR's requirements.txt, into an environment at $work/python.
install_python() {
    local from
    from=$(python3 --version; sha256sum <"$1/requirements.txt")
    up_to_date "$work/python" "$from" && return
    say "# pip install"
    rm -rf "$work/python"
    { python3 -m venv "$work/python" &&
        "$work/python/bin/pip" install --disable-pip-version-check --no-compile -r "$1/requirements.txt" </dev/null; } \
        >"$work/logs/pip.log" 2>&1 || { cat "$work/logs/pip.log" >&2; die "installing Python packages failed"; }
    printf '%s' "$from" >"$work/python/.made-from"
}

# --- processes --------------------------------------------------------------------------------------------------------

# start NAME PATTERN COMMAND...: starts a server and waits until a line of its stderr matches PATTERN.
# Sets pid, log and match (the first group of PATTERN).
start() {
    local name=$1 pattern=$2 fifo=$work/stderr.$$ line fd
    shift 2
    log=$work/logs/$name.log
    match=
    rm -f "$fifo"
    mkfifo "$fifo"
    "$@" </dev/null >"$log.stdout" 2>"$fifo" &
    pid=$!
    children+=("$pid")
    exec {fd}<"$fifo"
    rm -f "$fifo"
    : >"$log"
    local deadline=$((SECONDS + 30))
    while ((SECONDS < deadline)) && IFS= read -r -t 30 -u "$fd" line; do
        say "$line" >>"$log"
        if [[ $line =~ $pattern ]]; then
            match=${BASH_REMATCH[1]}
            cat <&"$fd" >>"$log" &
            exec {fd}<&-
            return 0
        fi
    done
    exec {fd}<&-
    fail "$name: did not start: $*"
    sed 's/^/#   /' "$log"
    stop "$pid" >/dev/null
    return 1
}

# stop PID: SIGTERM, and SIGKILL if that does not do it within 15 s. Sets status and took.
stop() {
    local one tenths rest=()
    kill -TERM "$1" 2>/dev/null || true
    for ((tenths = 0; tenths < 150; tenths++)); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    took="$((tenths / 10)).$((tenths % 10)) s"
    kill -KILL "$1" 2>/dev/null || true
    status=0
    wait "$1" 2>/dev/null || status=$?
    for one in "${children[@]}"; do [[ $one == "$1" ]] || rest+=("$one"); done
    children=("${rest[@]}")
}

cleanup() {
    local one
    for one in "${children[@]}"; do kill -KILL "$one" 2>/dev/null || true; done
    rm -f "$work/stderr.$$"
}
trap cleanup EXIT
