{{/*
The sidecar, for a pod of this chart or of one that depends on it. Another chart passes the context of
this one, `.Subcharts.pdp`, and includes

  pdp.sidecar.container        an entry of initContainers
  pdp.sidecar.volumes          entries of volumes
  pdp.podSecurityContext       the securityContext of the pod
*/}}
{{- define "pdp.sidecar.container" -}}
{{- include "pdp.check.sidecar" . -}}
name: pdp
restartPolicy: Always
{{ include "pdp.containerBasics" . }}
env:
  {{- include "pdp.sidecar.settings" . | nindent 2 }}
{{/* The kubelet cannot reach the loopback of the pod, so each probe is a command. */ -}}
startupProbe:
  exec:
    command: [pdp, health]
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  exec:
    command: [pdp, health]
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
volumeMounts:
  {{- include "pdp.commonMounts" . | nindent 2 }}
  {{- if eq .Values.sidecar.listen "socket" }}
  - name: pdp-sockets
    mountPath: /run/pdp
  {{- end }}
  {{- if .Values.sidecar.follow.url }}
  - name: pdp-follow
    mountPath: /etc/pdp/follow
    readOnly: true
  {{- end }}
  {{- if .Values.sidecar.follow.caSecretName }}
  - name: pdp-follow-ca
    mountPath: /etc/pdp/follow-ca
    readOnly: true
  {{- end }}
{{- end }}

{{- define "pdp.sidecar.settings" -}}
- name: PDP_AUTH
  value: local-pep
- name: PDP_LOCAL_TENANT
  value: {{ .Values.sidecar.tenant | quote }}
{{- if eq .Values.sidecar.listen "socket" }}
- name: PDP_GRPC_LISTEN
  value: unix:/run/pdp/grpc.sock
- name: PDP_HTTP_LISTEN
  value: unix:/run/pdp/http.sock
{{- else }}
- name: PDP_GRPC_LISTEN
  value: 127.0.0.1:50051
- name: PDP_HTTP_LISTEN
  value: 127.0.0.1:8080
{{- end }}
{{- with .Values.sidecar.follow }}
{{- if .url }}
- name: PDP_FOLLOW
  value: {{ .url | quote }}
- name: PDP_FOLLOW_TENANTS
  value: {{ $.Values.sidecar.tenant | quote }}
- name: PDP_FOLLOW_KEY_FILE
  value: /etc/pdp/follow/{{ .secretKey }}
- name: PDP_FOLLOW_SIGNING_KEY
  value: {{ .signingKey | quote }}
- name: PDP_FOLLOW_MAX_AGE_S
  value: {{ .maxAgeSeconds | quote }}
{{- if .caSecretName }}
- name: PDP_FOLLOW_CA_FILE
  value: /etc/pdp/follow-ca/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{ include "pdp.commonSettings" . }}
{{- end }}

{{- define "pdp.sidecar.volumes" -}}
{{ include "pdp.commonVolumes" . }}
- name: pdp-data
  {{- toYaml .Values.sidecar.volume | nindent 2 }}
{{- if eq .Values.sidecar.listen "socket" }}
- name: pdp-sockets
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- end }}
{{- with .Values.sidecar.follow }}
{{- if .url }}
- name: pdp-follow
  secret:
    secretName: {{ .secretName }}
    defaultMode: 288 # 0440
{{- end }}
{{- if .caSecretName }}
- name: pdp-follow-ca
  secret:
    secretName: {{ .caSecretName }}
    defaultMode: 288 # 0440
{{- end }}
{{- end }}
{{- end }}
