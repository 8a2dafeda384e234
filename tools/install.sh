#!/usr/bin/env bash
# Installs what the tests start: PostgreSQL's server, Chromium, Node.js, Prometheus's
# promtool, the proxies that chowk is tested behind, and the tools of a network that
# loses packets. Does nothing for what is there already. Elsewhere than on Debian and
# Ubuntu it says what to install.
set -euo pipefail

missing=()
have() { command -v "$1" >/dev/null 2>&1; }

have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
have chromium || have chromium-browser || have google-chrome || missing+=(chromium)
have psql || missing+=(postgresql-client)
have node || missing+=(nodejs)
have npm || missing+=(npm)

have promtool || missing+=(prometheus)
have nginx || [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
have haproxy || [ -x /usr/sbin/haproxy ] || missing+=(haproxy)
have caddy || missing+=(caddy)

# Network namespaces, in which test/faults loses packets. (tc and ip are iproute2's.)
have nft || [ -x /usr/sbin/nft ] || missing+=(nftables)
have ip || [ -x /usr/sbin/ip ] || [ -x /sbin/ip ] || missing+=(iproute2)

# helm is a Go program: it goes into bin/tools, and the system is left alone.
tools="$(cd "$(dirname "$0")/.." && pwd)/bin/tools"
if ! have helm && [ ! -x "$tools/helm" ]; then
	echo "building helm"
	GOBIN="$tools" GOFLAGS= go install helm.sh/helm/v4/cmd/helm@v4.3.0 || echo "helm could not be built: the chart's tests are skipped" >&2
fi

[ ${#missing[@]} -eq 0 ] && exit 0
echo "installing: ${missing[*]}"
if ! have apt-get; then
	echo "Please install ${missing[*]} with your system's package manager and try again." >&2
	exit 1
fi
sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo"
$sudo apt-get update -q
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends "${missing[@]}"
# The packages start services at once and at every boot; only their programs are
# wanted here.
if [ -d /run/systemd/system ]; then
	for service in prometheus nginx-light haproxy caddy; do
		case " ${missing[*]} " in *" $service "*) $sudo systemctl disable --now "${service%-light}" ;; esac
	done
fi
