# stages.sh - the stages of ./dev test, and how their results are added up
#
# Sourced by ./dev, which has the builds, the fuzzing and the packages.
# shellcheck shell=bash disable=SC2154 # root and logs are those of ./dev

# ---- what a stage does
#
# Each runs in a process of its own, ./dev _stage STAGE. Where it can it leaves
# "PASSED FAILED SKIPPED" in build-logs/STAGE.count.

stages=(house build unit e2e asan-build asan-unit asan-e2e tsan-build tsan-unit tsan-e2e
    fuzz bench)

# Seconds after which a stage is given up.
stage_limit() {
    case $1 in
    *-e2e | e2e | *build | fuzz) printf 420 ;; # fuzz builds, too
    *) printf 240 ;;
    esac
}

count() {
    python3 tests/lib/count.py "$@" >"$logs/$stage.count"
}

# each COMMAND... - one test that is a command; its result is counted
passed=0
failed=0
each() {
    if "$@"; then
        passed=$((passed + 1))
        printf 'ok     %s\n' "$*"
    else
        failed=$((failed + 1))
        printf 'FAILED %s\n' "$*"
    fi
    printf '%s %s 0\n' "$passed" "$failed" >"$logs/$stage.count"
}

stage_house() {
    local check
    for check in includes tests text; do
        each python3 "tests/house/check_$check.py" --self-test
        each python3 "tests/house/check_$check.py"
    done
    each python3 tests/house/check_install.py
}

# unit DIRECTORY PATIENCE [NAME...] - many of the tests wait for a clock, so two per core
unit() {
    local dir=$1 patience=$2 status=0
    shift 2
    rm -f "$dir/meson-logs/testlog.json"
    CMOCKA_MESSAGE_OUTPUT=TAP meson test -C "$dir" --no-rebuild --suite unit \
        --num-processes $((2 * $(nproc))) --timeout-multiplier "$patience" \
        --print-errorlogs "$@" || status=$?
    count meson "$dir/meson-logs/testlog.json"
    return "$status"
}

# e2e DIRECTORY ARGUMENT...
e2e() {
    local status=0
    python3 tests/e2e/run.py "$@" 2>&1 | tee "$logs/$stage.out" || status=$?
    count line "$logs/$stage.out"
    return "$status"
}

# sanitized DIRECTORY COMMAND... - a report by any process is a failure, also
# when the test that started it passes. Next to gcc's address sanitizer the
# undefined one ignores its log_path, so it ends the process and is looked for
# in the output.
sanitized() {
    local dir=$1 reports status=0
    shift
    reports=$root/$dir/reports-$stage
    rm -rf "$reports"
    mkdir -p "$reports"
    export ASAN_OPTIONS=log_path=$reports/asan:detect_leaks=1:strict_string_checks=1
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    export TSAN_OPTIONS=log_path=$reports/tsan:second_deadlock_stack=1
    TSAN_OPTIONS+=:suppressions=$root/tests/lib/tsan.supp:print_suppressions=0
    "$@" || status=$?
    if [ -n "$(ls "$reports")" ]; then
        head -n 60 "$reports"/*
        status=1
    fi
    ! grep -qs 'runtime error: ' "$logs/$stage.log" || status=1
    return "$status"
}

# gcc 12's thread sanitizer needs a layout that newer kernels randomize away.
fixed_layout() {
    if [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)" -gt 28 ] &&
        setarch -R true 2>/dev/null; then
        exec setarch -R "$@"
    fi
    exec "$@"
}

# Two targets at a time, one per core.
stage_fuzz() {
    local seconds=${LEEWARD_FUZZ_SECONDS:-4} target program
    local -A running=()
    build_fuzz
    fuzz_targets >"$logs/fuzz.targets"
    [ -s "$logs/fuzz.targets" ] || fail "there is no fuzz target"
    while read -r target program; do
        each fuzz_replay "$target" "$program"
        fuzz_run "$target" "$program" "$seconds" >"$logs/fuzz-$target.log" 2>&1 &
        running[$target]=$!
        if [ ${#running[@]} -eq 2 ]; then
            fuzz_wait
        fi
    done <"$logs/fuzz.targets"
    fuzz_wait
    [ "$failed" -eq 0 ]
}

fuzz_wait() {
    local target
    for target in "${!running[@]}"; do
        each fuzz_result "$target" "${running[$target]}"
        unset "running[$target]"
    done
}

fuzz_result() {
    if ! wait "$2"; then
        tail -n 50 "$logs/fuzz-$1.log"
        return 1
    fi
    tail -n 1 "$logs/fuzz-$1.log"
}

stage_bench() {
    local status=0
    python3 bench/answer.py --quick 2>&1 | tee "$logs/bench.out" || status=$?
    count line "$logs/bench.out" || printf '%s 0 0\n' $((status == 0)) >"$logs/bench.count"
    return "$status"
}

# _stage STAGE [NAME...]
run_stage() {
    stage=$1
    shift
    case $stage in
    house) stage_house && [ "$failed" -eq 0 ] ;;
    build) configure build -Dwerror=true && build build ;;
    unit) unit build 2 "$@" ;;
    e2e) e2e build "$@" ;;
    asan-build) build_sanitized build-asan address,undefined ;;
    asan-unit) sanitized build-asan unit build-asan 4 ;;
    asan-e2e) sanitized build-asan e2e build-asan --without-long ;;
    tsan-build) build_sanitized build-tsan thread ;;
    tsan-unit) sanitized build-tsan unit build-tsan 6 ;;
    tsan-e2e) sanitized build-tsan e2e build-tsan --subset tsan ;;
    fuzz) stage_fuzz ;;
    bench) stage_bench ;;
    esac
}

# ---- one after the other

total_passed=0
total_failed=0
total_skipped=0
child=
broken=' ' # builds that failed, between blanks

summary() {
    printf '%s passed, %s failed' "$1" "$2"
    [ "$3" -eq 0 ] || printf ', %s skipped' "$3"
}

stop_stage() {
    trap '' INT TERM HUP
    if [ -n "$child" ]; then
        kill -TERM "$child" 2>/dev/null || true
        wait "$child" || true
    fi
    exit "$1"
}

now_ms() {
    printf '%s' "$((${EPOCHREALTIME/[.,]/} / 1000))"
}

# failures STAGE - what failed, before all that was said
failures() {
    case $1 in
    unit) python3 tests/lib/failures.py meson build/meson-logs/testlog.json ;;
    *-unit) python3 tests/lib/failures.py meson "build-${1%-unit}/meson-logs/testlog.json" ;;
    e2e | *-e2e) python3 tests/lib/failures.py line "$logs/$1.out" ;;
    esac
}

# test_stage STAGE [NAME...] - run it, print its line, add up
test_stage() {
    local stage=$1 log=$logs/$1.log status=0 begin spent p=0 f=0 s=0 limit command
    local needs=${1%-*}-build
    case $stage in unit | e2e | bench) needs=build ;; esac
    if [[ $broken == *" $needs "* ]]; then
        printf '%-10s not run: %s failed\n' "$stage" "$needs"
        return
    fi
    limit=$(stage_limit "$stage")
    command=("$root/dev" _stage "$@")
    [[ $stage != tsan-* ]] || command=("$root/dev" _fixed_layout "${command[@]}")
    rm -f "$logs/$stage.count"
    [ ! -t 1 ] || printf '%-10s ...\r' "$stage"
    begin=$(now_ms)
    # timeout keeps the stage in one process group, which ends with it; a shell's
    # background job would ignore SIGINT, which some tests send.
    if [ -n "$verbose" ]; then
        env --default-signal=INT,QUIT timeout -k 20 "$limit" "${command[@]}" \
            > >(tee "$log") 2>&1 </dev/null &
    else
        env --default-signal=INT,QUIT timeout -k 20 "$limit" "${command[@]}" \
            >"$log" 2>&1 </dev/null &
    fi
    child=$!
    wait "$child" || status=$?
    child=
    spent=$(($(now_ms) - begin))
    if [ -s "$logs/$stage.count" ]; then
        read -r p f s <"$logs/$stage.count"
    fi
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
    fi
    total_passed=$((total_passed + p))
    total_failed=$((total_failed + f))
    total_skipped=$((total_skipped + s))
    printf '%-10s %-38s %5d.%d s\n' "$stage" "$(stage_result "$status" "$p" "$f" "$s")" \
        $((spent / 1000)) $((spent % 1000 / 100))
    if [ "$s" -gt 0 ]; then
        grep -i 'skip' "$log" | grep -vE '^[0-9]+ passed, |^Skipped: ' | head -n 8 | sed 's/^/    /' || true
    fi
    if [ "$f" -gt 0 ]; then
        [[ $stage != *build ]] || broken+="$stage "
        [ "$status" -ne 124 ] || printf '    given up after %s s\n' "$limit"
        failures "$stage" || true
        printf -- '---- the end of %s\n' "${log#"$root"/}"
        [ -n "$verbose" ] || tail -n 60 "$log"
        printf -- '----\n'
    fi
}

# stage_result STATUS PASSED FAILED SKIPPED
stage_result() {
    if [ "$1" -eq 0 ] && [ "$2" -eq 0 ] && [ "$4" -eq 0 ]; then
        printf 'done'
    elif [ "$3" -gt 0 ]; then
        printf 'FAILED: %s' "$(summary "$2" "$3" "$4")"
    else
        summary "$2" "$3" "$4"
    fi
}

# Add to `plan` the stages that NAME stands for; a name that is no stage is
# that of one test.
plan_name() {
    local name=$1 stage found=
    for stage in "${stages[@]}"; do
        if [ "$stage" = "$name" ] || [ "${stage%-*}" = "$name" ]; then
            plan+=("$stage")
            found=yes
        fi
    done
    if [ -z "$found" ] && [ -e "tests/unit/${name}_test.c" ]; then
        plan+=(build "unit $name")
    elif [ -z "$found" ]; then
        plan+=(build "e2e $name")
    elif [[ $name == unit || $name == e2e || $name == bench ]]; then
        plan=(build "${plan[@]}")
    fi
}

run_tests() {
    local plan=() entry words seen=' '
    verbose=
    while [ $# -gt 0 ]; do
        case $1 in
        --quick) plan+=(house build unit e2e) ;;
        -v | --verbose) verbose=yes ;;
        -*) fail "test: unknown option $1" ;;
        *) plan_name "$1" ;;
        esac
        shift
    done
    [ ${#plan[@]} -gt 0 ] || plan=("${stages[@]}")
    deps test
    writable_logs
    trap 'stop_stage 130' INT
    trap 'stop_stage 143' TERM HUP
    for entry in "${plan[@]}"; do
        [[ $seen != *" <$entry> "* ]] || continue
        seen+="<$entry> "
        read -ra words <<<"$entry"
        test_stage "${words[@]}"
    done
    summary "$total_passed" "$total_failed" "$total_skipped"
    printf '\n'
    [ "$total_failed" -eq 0 ]
}
