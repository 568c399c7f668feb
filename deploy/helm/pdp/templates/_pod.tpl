{{/* What the pods of both modes share. */}}

{{- define "pdp.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "pdp.containerSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Image, security, resources, in any container of the server. */}}
{{- define "pdp.containerBasics" -}}
image: {{ include "pdp.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "pdp.containerSecurityContext" . | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end }}

{{/* Settings of both modes, as entries of `env`. */}}
{{- define "pdp.commonSettings" -}}
{{/* The server makes this folder, which only its user can enter. The volume is open to its group. */ -}}
- name: PDP_DATA_DIR
  value: /var/lib/pdp/data
- name: PDP_AUDIT_MODE
  value: {{ .Values.records.mode }}
- name: PDP_DRAIN_S
  value: {{ .Values.drainSeconds | quote }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- range .Values.files }}
- name: {{ .setting }}
  value: /etc/pdp/files/{{ .setting | lower }}/{{ .key }}
{{- end }}
{{- range $name, $source := .Values.secretEnvironment }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $source.secretName }}
      key: {{ $source.key }}
{{- end }}
{{- end }}

{{- define "pdp.commonMounts" -}}
- name: pdp-data
  mountPath: /var/lib/pdp
- name: pdp-tmp
  mountPath: /tmp
{{- range .Values.files }}
- name: {{ include "pdp.fileVolume" . }}
  mountPath: /etc/pdp/files/{{ .setting | lower }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "pdp.commonVolumes" -}}
- name: pdp-tmp
  emptyDir:
    sizeLimit: 64Mi
{{- range .Values.files }}
- name: {{ include "pdp.fileVolume" . }}
  {{- if .secretName }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 288 # 0440
  {{- else }}
  configMap:
    name: {{ .configMapName }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "pdp.fileVolume" -}}
{{ .setting | lower | replace "_" "-" }}
{{- end }}

{{/* Optional fields of the pod; each line begins with a line break. */}}
{{- define "pdp.podOptions" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
