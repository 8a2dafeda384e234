# Functions for scripts that test containers. A script that sources this file defines dump,
# which prints what helps when a test fails.

step() { printf '\n== %s\n' "$*"; }
fail() {
	printf 'FAILED: %s\n' "$*" >&2
	dump >&2 || true
	exit 1
}
same() { [ "$2" = "$3" ] || fail "$1 is $2, want $3"; echo "ok: $1 is $2"; }
until_so() { # SECONDS WHAT COMMAND...
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "not within the time: $what"
		sleep 0.5
	done
	echo "ok: $what"
}
