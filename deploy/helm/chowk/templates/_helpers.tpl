{{/* A name without dots, which a release may have and a Service must not. */}}
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
{{- /* A tag may end in a digest, and be longer than a label may be. */}}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | regexFind "^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* "yes" if pods connect to each other. */}}
{{- define "chowk.routes" -}}
{{- if not (or .Values.persistence.enabled .Values.relay.external) }}yes{{ end }}
{{- end }}

{{/*
The number of pods, where the chart must keep setting it although the autoscaler decides:
a field that helm has set once and now leaves out is removed, which means one pod. Empty
once the autoscaler has set it (with helm 3 this cannot be known), and without a cluster.
*/}}
{{- define "chowk.scaled" -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace (include "chowk.name" .) }}
{{- $applied := false }}
{{- $set := false }}
{{- range .metadata.managedFields }}
{{- if not .subresource }}
{{- if eq .operation "Apply" }}{{ $applied = true }}{{ end }}
{{- if hasKey (dig "f:spec" dict .fieldsV1) "f:replicas" }}{{ $set = true }}{{ end }}
{{- end }}
{{- end }}
{{- if or $set (not $applied) }}{{ .spec.replicas | int | max (int $.Values.autoscaling.minReplicas) | min (int $.Values.autoscaling.maxReplicas) }}{{ end }}
{{- end }}
{{- end }}

{{/* Refuse values that cannot work before anything is installed. */}}
{{- define "chowk.check" -}}
{{- if and (not .Values.persistence.enabled) (not .Values.existingSecret) }}
{{- fail "set existingSecret to a Secret with CHOWK_DATABASE_URL (PostgreSQL) and CHOWK_RELAY_SECRET, or set persistence.enabled=true for SQLite on one node" }}
{{- end }}
{{- if and .Values.persistence.enabled (or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1)) }}
{{- fail "persistence is for SQLite, which only one node can use: set replicaCount=1 and autoscaling.enabled=false, or use PostgreSQL" }}
{{- end }}
{{- if and .Values.persistence.enabled (or .Values.relay.external .Values.relay.tlsSecret) }}
{{- fail "persistence is for SQLite, which only one node can use: remove relay.external and relay.tlsSecret, or use PostgreSQL" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- fail "autoscaling.minReplicas must not be above autoscaling.maxReplicas" }}
{{- end }}
{{- if ge (int .Values.drain.windowSeconds) (int .Values.drain.timeoutSeconds) }}
{{- fail "drain.windowSeconds must be shorter than drain.timeoutSeconds" }}
{{- end }}
{{- end }}
