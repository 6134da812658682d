{{- define "sheaf.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "sheaf.labels" -}}
app.kubernetes.io/name: sheaf
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "sheaf.selector" -}}
app.kubernetes.io/name: sheaf
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sheaf.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "sheaf.secret" -}}
{{- .Values.token.existingSecret | default (printf "%s-token" (include "sheaf.name" .)) -}}
{{- end -}}

{{- define "sheaf.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "sheaf.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "sheaf.podIp" -}}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- end -}}

{{- /* The pod of a node: `node` is one of nodeGroups or autoscaling.nodeTypes, `labels` are more of its own. */ -}}
{{- define "sheaf.nodePod" -}}
metadata:
  labels:
    {{- include "sheaf.labels" .root | nindent 4 }}
    app.kubernetes.io/component: node
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  automountServiceAccountToken: false
  # The node is drained first, see preStop.
  terminationGracePeriodSeconds: {{ add .root.Values.drainSeconds 30 }}
  securityContext:
    {{- include "sheaf.podSecurity" .root | nindent 4 }}
  containers:
    - name: node
      image: {{ include "sheaf.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args:
        - node
        - --head={{ include "sheaf.name" .root }}-head:7070
        - --host=0.0.0.0
        - --port=7071
        - --advertise=$(POD_IP)
        - --token-file=/etc/sheaf/token
        - --spill-dir=/var/spill
        - --num-gpus={{ .node.gpus | default 0 }}
        {{- range .node.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      env:
        {{- include "sheaf.podIp" .root | nindent 8 }}
      ports:
        - name: sheaf
          containerPort: 7071
      lifecycle:
        preStop:
          exec:
            # Kubernetes puts no variables into these words, a shell does.
            command:
              - sh
              - -c
              - >-
                exec sheaf drain --address {{ include "sheaf.name" .root }}-head:7070 --token-file /etc/sheaf/token
                --timeout {{ .root.Values.drainSeconds }} "$POD_IP:7071"
      readinessProbe:
        tcpSocket:
          port: sheaf
        periodSeconds: 5
      resources:
        {{- with .node.resources.requests }}
        requests:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- $gpus := ternary (dict "nvidia.com/gpu" .node.gpus) dict (gt (int .node.gpus) 0) }}
        {{- with merge $gpus (.node.resources.limits | default dict) }}
        limits:
          {{- toYaml . | nindent 10 }}
        {{- end }}
      securityContext:
        {{- include "sheaf.security" .root | nindent 8 }}
      volumeMounts:
        - name: token
          mountPath: /etc/sheaf
          readOnly: true
        - name: spill
          mountPath: /var/spill
        - name: tmp
          mountPath: /tmp
        - name: home
          mountPath: /home/sheaf
  volumes:
    - name: token
      secret:
        secretName: {{ include "sheaf.secret" .root }}
        defaultMode: 0440
    - name: spill
      {{- with .node.spill }}
      emptyDir:
        sizeLimit: {{ . }}
      {{- else }}
      emptyDir: {}
      {{- end }}
    - name: tmp
      emptyDir: {}
    - name: home
      emptyDir: {}
  {{- with .node.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .node.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
