{{/* Of a release with dots as well, which services must not have. */}}
{{- define "chowk.name" -}}
{{- $name := .Release.Name | replace "." "-" }}
{{- if contains "chowk" $name }}{{ $name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-chowk" $name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "chowk.selector" -}}
app.kubernetes.io/name: chowk
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "chowk.labels" -}}
{{ include "chowk.selector" . }}
{{- /* A tag may have a digest behind it, and be longer than a label. */}}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | regexFind "^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Whether pods connect to each other. */}}
{{- define "chowk.routes" -}}
{{- if not (or .Values.persistence.enabled .Values.relay.external) }}yes{{ end }}
{{- end }}

{{/*
How many pods there are, where the chart must go on saying it although the autoscaler
decides: what helm has said once and leaves out is taken away, which makes it one pod.
Empty once the autoscaler has said it (of helm 3 nobody knows), and without a cluster.
*/}}
{{- define "chowk.scaled" -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace (include "chowk.name" .) }}
{{- $applied := false }}
{{- $said := false }}
{{- range .metadata.managedFields }}
{{- if not .subresource }}
{{- if eq .operation "Apply" }}{{ $applied = true }}{{ end }}
{{- if hasKey (dig "f:spec" dict .fieldsV1) "f:replicas" }}{{ $said = true }}{{ end }}
{{- end }}
{{- end }}
{{- if or $said (not $applied) }}{{ .spec.replicas | int | max (int $.Values.autoscaling.minReplicas) | min (int $.Values.autoscaling.maxReplicas) }}{{ end }}
{{- end }}
{{- end }}

{{/* What cannot work is refused before anything is installed. */}}
{{- define "chowk.check" -}}
{{- if and (not .Values.persistence.enabled) (not .Values.existingSecret) }}
{{- fail "set existingSecret to a Secret with CHOWK_DATABASE_URL (PostgreSQL) and CHOWK_RELAY_SECRET, or persistence.enabled=true for SQLite on one node" }}
{{- end }}
{{- if and .Values.persistence.enabled (or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1)) }}
{{- fail "persistence is for SQLite, which one node has alone: set replicaCount=1 and autoscaling.enabled=false, or use PostgreSQL" }}
{{- end }}
{{- if and .Values.persistence.enabled (or .Values.relay.external .Values.relay.tlsSecret) }}
{{- fail "persistence is for SQLite, which one node has alone: take relay.external and relay.tlsSecret away, or use PostgreSQL" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- fail "autoscaling.minReplicas must not be above autoscaling.maxReplicas" }}
{{- end }}
{{- if ge (int .Values.drain.windowSeconds) (int .Values.drain.timeoutSeconds) }}
{{- fail "drain.windowSeconds must be shorter than drain.timeoutSeconds" }}
{{- end }}
{{- end }}
