#!/usr/bin/env bash
# Installs the programs that the tests run and that are missing: PostgreSQL, Chromium,
# Node.js, Prometheus and promtool, the proxies that chowk is tested behind, and the tools
# that drop packets. On systems other than Debian and Ubuntu it prints what to install.
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

# For the network namespaces in which test/faults drops packets; iproute2 has tc and ip.
have nft || [ -x /usr/sbin/nft ] || missing+=(nftables)
have ip || [ -x /usr/sbin/ip ] || [ -x /sbin/ip ] || missing+=(iproute2)

# helm is built from source into bin/tools, not installed into the system.
tools="$(cd "$(dirname "$0")/.." && pwd)/bin/tools"
if ! have helm && [ ! -x "$tools/helm" ]; then
	echo "building helm"
	GOBIN="$tools" GOFLAGS= go install helm.sh/helm/v4/cmd/helm@v4.3.0 ||
		echo "helm could not be built: the tests of the chart are skipped" >&2
fi

[ ${#missing[@]} -eq 0 ] && exit 0
echo "installing: ${missing[*]}"
if ! have apt-get; then
	echo "Install ${missing[*]} with your system's package manager, and run this again." >&2
	exit 1
fi
sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo"
$sudo apt-get update -q
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends "${missing[@]}"
# The packages enable and start services; only their programs are needed here.
if [ -d /run/systemd/system ]; then
	for service in prometheus nginx-light haproxy caddy; do
		case " ${missing[*]} " in *" $service "*) $sudo systemctl disable --now "${service%-light}" ;; esac
	done
fi
