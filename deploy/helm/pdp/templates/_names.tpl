{{- define "pdp.name" -}}
{{- if contains "pdp" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-pdp" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "pdp.selector" -}}
app.kubernetes.io/name: pdp
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pdp.labels" -}}
{{ include "pdp.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "pdp.podLabels" -}}
{{ include "pdp.selector" . }}
{{- with .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "pdp.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Whether there may be several servers. */}}
{{- define "pdp.hasReplicas" -}}
{{- if and (eq .Values.store.type "postgresql") (or .Values.autoscaling.enabled (gt (int .Values.replicas) 1)) }}true{{ end }}
{{- end }}
