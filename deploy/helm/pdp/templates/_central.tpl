{{/* Servers that keep nothing of their own are a Deployment. */}}
{{- define "pdp.central.kind" -}}
{{- if and (eq .Values.store.type "postgresql") .Values.records.postgresql.secretName -}}
Deployment
{{- else -}}
StatefulSet
{{- end -}}
{{- end }}

{{/* The pod of a central server. */}}
{{- define "pdp.central.podSpec" -}}
serviceAccountName: {{ include "pdp.name" . }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ add .Values.preStopSeconds .Values.drainSeconds 5 }}
securityContext:
  {{- include "pdp.podSecurityContext" . | nindent 2 }}
{{- include "pdp.podOptions" . }}
{{- if eq .Values.store.type "postgresql" }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "pdp.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
containers:
  - name: pdp
    {{- include "pdp.containerBasics" . | nindent 4 }}
    env:
      {{- include "pdp.central.settings" . | nindent 6 }}
    ports:
      - name: grpc
        containerPort: 50051
      - name: http
        containerPort: 8080
    {{- include "pdp.central.probes" . | trim | nindent 4 }}
    lifecycle:
      preStop:
        sleep:
          seconds: {{ .Values.preStopSeconds }}
    volumeMounts:
      {{- include "pdp.commonMounts" . | nindent 6 }}
      {{- if .Values.tls.secretName }}
      - name: tls
        mountPath: /etc/pdp/tls
        readOnly: true
      {{- end }}
      {{- if .Values.tls.clientCaSecretName }}
      - name: tls-clients
        mountPath: /etc/pdp/tls-clients
        readOnly: true
      {{- end }}
      {{- if .Values.store.postgresql.caSecretName }}
      - name: database-ca
        mountPath: /etc/pdp/database
        readOnly: true
      {{- end }}
volumes:
  {{- if eq (include "pdp.central.kind" .) "Deployment" }}
  - name: pdp-data
    emptyDir:
      sizeLimit: {{ .Values.volume.size }}
  {{- end }}
  {{- include "pdp.commonVolumes" . | nindent 2 }}
  {{- with .Values.tls.secretName }}
  - name: tls
    secret:
      secretName: {{ . }}
      defaultMode: 288 # 0440
  {{- end }}
  {{- with .Values.tls.clientCaSecretName }}
  - name: tls-clients
    secret:
      secretName: {{ . }}
      defaultMode: 288 # 0440
  {{- end }}
  {{- with .Values.store.postgresql.caSecretName }}
  - name: database-ca
    secret:
      secretName: {{ . }}
      defaultMode: 288 # 0440
  {{- end }}
{{- end }}

{{- define "pdp.central.settings" -}}
- name: PDP_AUTH
  value: required
- name: PDP_GRPC_LISTEN
  value: 0.0.0.0:50051
- name: PDP_HTTP_LISTEN
  value: 0.0.0.0:8080
- name: PDP_WORKERS
  value: {{ .Values.workers | quote }}
{{- if eq .Values.store.type "postgresql" }}
- name: PDP_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.store.postgresql.secretName }}
      key: {{ .Values.store.postgresql.secretKey }}
{{- end }}
{{- if .Values.store.postgresql.caSecretName }}
- name: PGSSLROOTCERT # libpq takes it if the URL has no sslrootcert
  value: /etc/pdp/database/ca.crt
{{- end }}
{{- with .Values.records.postgresql.secretName }}
- name: PDP_AUDIT_URL
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.records.postgresql.secretKey }}
{{- end }}
{{- with .Values.limits.secretName }}
- name: PDP_LIMITS_URL
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.limits.secretKey }}
{{- end }}
{{- if .Values.tls.secretName }}
- name: PDP_TLS_CERT_FILE
  value: /etc/pdp/tls/tls.crt
- name: PDP_TLS_KEY_FILE
  value: /etc/pdp/tls/tls.key
{{- end }}
{{- if .Values.tls.clientCaSecretName }}
- name: PDP_TLS_CLIENT_CA_FILE
  value: /etc/pdp/tls-clients/ca.crt
{{- end }}
{{ include "pdp.commonSettings" . }}
{{- end }}

{{/* The kubelet has no client certificate: with tls.clientCaSecretName, it only connects. */}}
{{- define "pdp.central.probes" -}}
{{- $probes := dict
  "startupProbe" (dict "path" "/healthz" "periodSeconds" 1 "failureThreshold" 60)
  "readinessProbe" (dict "path" "/readyz" "periodSeconds" 5 "failureThreshold" 2)
  "livenessProbe" (dict "path" "/healthz" "periodSeconds" 10 "failureThreshold" 6) }}
{{- range $name, $probe := $probes }}
{{ $name }}:
  {{- if $.Values.tls.clientCaSecretName }}
  tcpSocket:
    port: http
  {{- else }}
  httpGet:
    path: {{ $probe.path }}
    port: http
    scheme: {{ ternary "HTTPS" "HTTP" (ne $.Values.tls.secretName "") }}
  {{- end }}
  periodSeconds: {{ $probe.periodSeconds }}
  timeoutSeconds: 3
  failureThreshold: {{ $probe.failureThreshold }}
{{- end }}
{{- end }}
