{{/* Refuses values that a schema cannot refuse: each message says what to do. */}}
{{- define "pdp.check" -}}
{{- if eq .Values.mode "sidecar" }}{{ include "pdp.check.sidecar" . }}{{ else }}{{ include "pdp.check.central" . }}{{ end }}
{{- end }}

{{- define "pdp.check.central" -}}
{{- if eq .Values.store.type "sqlite" }}
  {{- if or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled }}
    {{- fail "store.type: several servers cannot share SQLite. Set store.type to postgresql, or replicas to 1 and autoscaling.enabled to false." }}
  {{- end }}
{{- else if not .Values.store.postgresql.secretName }}
  {{- fail "store.postgresql.secretName: is required. Name a Secret with the URL of the database." }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
  {{- fail "autoscaling.minReplicas: is above maxReplicas. Lower it." }}
{{- end }}
{{- if and .Values.tls.terminatedByMesh (or .Values.tls.secretName .Values.tls.clientCaSecretName) }}
  {{- fail "tls.terminatedByMesh: the server has a certificate of its own. Set one of the two." }}
{{- end }}
{{- if not (or .Values.tls.secretName .Values.tls.terminatedByMesh) }}
  {{- fail "tls.secretName: is required, because clients send API keys. Name a Secret of type kubernetes.io/tls, or set tls.terminatedByMesh to true if a mesh encrypts all traffic." }}
{{- end }}
{{- if and (hasKey .Values.settings "PDP_GRPC_SERVER") (eq (lower (get .Values.settings "PDP_GRPC_SERVER")) "native") .Values.tls.secretName }}
  {{- fail "settings.PDP_GRPC_SERVER: the native front has no TLS. Set it to auto, or use tls.terminatedByMesh." }}
{{- end }}
{{- end }}

{{- define "pdp.check.sidecar" -}}
{{- if not .Values.sidecar.tenant }}
  {{- fail "sidecar.tenant: is required. Set it to the id of the tenant of calls without a credential." }}
{{- end }}
{{- with .Values.sidecar.follow }}
  {{- if and .url (not .secretName) }}
    {{- fail "sidecar.follow.secretName: is required. Name a Secret with an API key of the role follower." }}
  {{- end }}
  {{- if and .url (not .signingKey) }}
    {{- fail "sidecar.follow.signingKey: is required. Set it to what `pdp policies signing-key` prints on the central server." }}
  {{- end }}
  {{- if and (not .url) (or .secretName .signingKey .caSecretName) }}
    {{- fail "sidecar.follow.url: is required. Set it to the gRPC address of the central server." }}
  {{- end }}
{{- end }}
{{- end }}
