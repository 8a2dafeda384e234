# Sourced by what looks whether containers do what they promise. Whoever does defines
# dump: what to show of them when something fails.

step() { printf '\n== %s\n' "$*"; }
fail() {
	printf 'FAILED: %s\n' "$*" >&2
	dump >&2 || true
	exit 1
}
same() { [ "$2" = "$3" ] || fail "$1 is $2, not $3"; echo "ok: $1 is $2"; }
until_so() { # SECONDS WHAT COMMAND...
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "not so: $what"
		sleep 0.5
	done
	echo "ok: $what"
}
