{{- define "maildomain.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "maildomain.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "maildomain.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Name of cluster-scoped objects. A namespace holds no colon, so two releases never meet. */}}
{{- define "maildomain.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "maildomain.fullname" .) }}
{{- end }}

{{- define "maildomain.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "maildomain.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "maildomain.selectorLabels" -}}
app.kubernetes.io/name: {{ include "maildomain.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "maildomain.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "maildomain.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "maildomain.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* What the operator may do with the objects of tenants: a ClusterRole, or a Role in each watched namespace. */}}
{{- define "maildomain.tenantRules" -}}
- apiGroups: [maildomain.dev]
  resources: [maildomains]
  # patch is for the finalizer; spec, labels and annotations are never written.
  verbs: [get, list, watch, patch]
- apiGroups: [maildomain.dev]
  resources: [dkimsigners]
  verbs: [get, list, watch]
- apiGroups: [maildomain.dev]
  resources: [maildomains/status, dkimsigners/status]
  verbs: [patch, update]
# By name only: no list, no watch. No delete: keys outlive every mistake.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, update, patch]
{{- end }}

{{- define "maildomain.config" -}}
recheckInterval: {{ .Values.recheckInterval }}
leaderElection:
  {{- toYaml .Values.leaderElection | nindent 2 }}
claims: {{ .Values.claims }}
keyWorkers: {{ .Values.keyWorkers }}
concurrency: {{ .Values.concurrency }}
dns:
  {{- toYaml .Values.dns | nindent 2 }}
{{- end }}
