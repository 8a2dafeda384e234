#!/usr/bin/env bash
# bom.sh ARCHIVE DOCUMENT RELEASE-URL TIME writes the bill of materials of an archive
# (SPDX). syft generates a new time and namespace in each run; they are replaced by the
# release's (TIME in Unix seconds), so that the same archive has the same bill.
set -euo pipefail
archive=$1 document=$2 url=$3 time=$4
SYFT_CHECK_FOR_APP_UPDATE=false syft scan --quiet "file:$archive" --source-name "$(basename "$archive")" \
	--output "spdx-json=$document.new"
jq --arg namespace "$url/$(basename "$document")" --argjson time "$time" \
	'.documentNamespace = $namespace | .creationInfo.created = ($time | todate)' "$document.new" >"$document"
rm "$document.new"
jq -e '[.packages[] | select(.name == "github.com/chowk-chat/chowk")] | length > 0' "$document" >/dev/null || {
	echo "$document does not list the modules of the binary" >&2
	exit 1
}
