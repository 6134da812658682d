{{- /* A number, as TOML and command lines have it. With a point --set gives text; files give floats. */ -}}
{{- define "sheaf.number" -}}
{{- if kindIs "invalid" .value -}}
{{- fail (printf "%s is missing" .what) -}}
{{- end -}}
{{- $text := toString .value -}}
{{- if not (regexMatch "^[0-9]+([.][0-9]+)?(e[+][0-9]+)?$" $text) -}}
{{- fail (printf "%s has to be a number of 0 or more, and is %s" .what $text) -}}
{{- end -}}
{{- $number := float64 $text -}}
{{- if eq $number (floor $number) -}}
{{- int64 $number -}}
{{- else if .whole -}}
{{- fail (printf "%s has to be a whole number, and is %s" .what $text) -}}
{{- else -}}
{{- $text -}}
{{- end -}}
{{- end -}}

{{- /* Refuses types of nodes that a head would refuse too, or whose pods would never become nodes. */ -}}
{{- define "sheaf.checkNodeTypes" -}}
{{- $all := .Values.autoscaling -}}
{{- if not $all.nodeTypes -}}
{{- fail "autoscaling.enabled needs one or more autoscaling.nodeTypes" -}}
{{- end -}}
{{- range $what := list "idleSeconds" "bootSeconds" -}}
{{- if eq (include "sheaf.number" (dict "what" (print "autoscaling." $what) "value" (get $all $what))) "0" -}}
{{- fail (printf "autoscaling.%s has to be more than 0" $what) -}}
{{- end -}}
{{- end -}}
{{- $known := list "min" "max" "cpus" "gpus" "memory" "customResources" "labels" -}}
{{- $known = concat $known (list "resources" "spill" "nodeSelector" "tolerations" "extraArgs") -}}
{{- $least := 0 -}}
{{- range $name, $type := $all.nodeTypes -}}
{{- $of := print "autoscaling.nodeTypes." $name -}}
{{- if or (gt (len $name) 40) (not (regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" $name)) -}}
{{- fail (printf "%s: names have small letters, digits and, between them, -: at most 40 in all" $of) -}}
{{- end -}}
{{- range $key := keys $type | sortAlpha -}}
{{- if not (has $key $known) -}}
{{- fail (printf "%s has %s, and there are %s" $of $key (join ", " $known)) -}}
{{- end -}}
{{- end -}}
{{- if not $type.resources -}}
{{- fail (printf "%s.resources is missing: what its pods ask for" $of) -}}
{{- end -}}
{{- $min := dict "what" (print $of ".min") "value" ($type.min | default 0) "whole" true -}}
{{- $max := dict "what" (print $of ".max") "value" $type.max "whole" true -}}
{{- $min = int (include "sheaf.number" $min) -}}
{{- $max = int (include "sheaf.number" $max) -}}
{{- if or (gt $min $max) (eq $max 0) -}}
{{- fail (printf "%s: there are to be %d nodes at the least and %d at the most" $of $min $max) -}}
{{- end -}}
{{- $least = add $least $min -}}
{{- range $name := keys ($type.customResources | default dict) | sortAlpha -}}
{{- if has $name (list "CPU" "GPU" "memory") -}}
{{- fail (printf "%s.customResources cannot have %s: use cpus, gpus and memory" $of $name) -}}
{{- end -}}
{{- end -}}
{{- range $arg := $type.extraArgs -}}
{{- if regexMatch "^--(labels|num-cpus|num-gpus|resources)(=|$)" (toString $arg) -}}
{{- fail (printf "%s.extraArgs cannot have %v: use labels, cpus, gpus and customResources" $of $arg) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $most := int (include "sheaf.number" (dict "what" "autoscaling.maxNodes" "value" $all.maxNodes "whole" true)) -}}
{{- if gt (int $least) $most -}}
{{- fail (printf "autoscaling: there are to be %d nodes at the least, and maxNodes is %d" $least $most) -}}
{{- end -}}
{{- end -}}

{{- /* What `sheaf head --node-types` reads. JSON's text is TOML's too. */ -}}
{{- define "sheaf.nodeTypes" -}}
{{- $all := .Values.autoscaling -}}
provider = "kubernetes"
cluster = {{ include "sheaf.name" . | toJson }}
idle_seconds = {{ include "sheaf.number" (dict "what" "autoscaling.idleSeconds" "value" $all.idleSeconds) }}
boot_seconds = {{ include "sheaf.number" (dict "what" "autoscaling.bootSeconds" "value" $all.bootSeconds) }}
max_nodes = {{ include "sheaf.number" (dict "what" "autoscaling.maxNodes" "value" $all.maxNodes) }}
{{- range $name, $type := $all.nodeTypes }}
{{- $of := print "autoscaling.nodeTypes." $name "." }}

[node_types.{{ $name }}]
pod = {{ print $name ".json" | toJson }}
min = {{ include "sheaf.number" (dict "what" (print $of "min") "value" ($type.min | default 0)) }}
max = {{ include "sheaf.number" (dict "what" (print $of "max") "value" $type.max) }}
num_cpus = {{ include "sheaf.number" (dict "what" (print $of "cpus") "value" $type.cpus) }}
num_gpus = {{ include "sheaf.number" (dict "what" (print $of "gpus") "value" ($type.gpus | default 0) "whole" true) }}
memory = {{ include "sheaf.number" (dict "what" (print $of "memory") "value" ($type.memory | default 0)) }}
{{- with $type.customResources }}
[node_types.{{ $name }}.resources]
{{- range $resource, $amount := . }}
{{- $what := print $of "customResources." $resource }}
{{ $resource | toJson }} = {{ include "sheaf.number" (dict "what" $what "value" $amount) }}
{{- end }}
{{- end }}
{{- with $type.labels }}
[node_types.{{ $name }}.labels]
{{- range $label, $value := . }}
{{ $label | toJson }} = {{ $value | toString | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* The pod of a type of node as JSON. The head gives it its name, and SHEAF_NODE_LABELS. */ -}}
{{- define "sheaf.nodeTypePod" -}}
{{- $cpus := include "sheaf.number" (dict "what" "cpus" "value" .type.cpus) -}}
{{- $args := list (print "--num-cpus=" $cpus) "--labels=$(SHEAF_NODE_LABELS)" -}}
{{- with .type.customResources -}}
{{- $amounts := dict -}}
{{- range $resource, $amount := . -}}
{{- $_ := set $amounts $resource (float64 $amount) -}}
{{- end -}}
{{- /* Kubernetes reads $$ as $. */ -}}
{{- $args = append $args (print "--resources=" ($amounts | toJson | replace "$" "$$")) -}}
{{- end -}}
{{- $node := merge (dict "extraArgs" (concat $args (.type.extraArgs | default list))) .type -}}
{{- $pod := include "sheaf.nodePod" (dict "root" .root "node" $node) | fromYaml -}}
{{- /* A node that ends is no more: another one comes if there is need of it. */ -}}
{{- $_ := set $pod.spec "restartPolicy" "Never" -}}
{{- $pod | toPrettyJson -}}
{{- end -}}

{{- /* The files for the head: the types of nodes, and the pod of each. */ -}}
{{- define "sheaf.nodeTypeFiles" -}}
{{- include "sheaf.checkNodeTypes" . -}}
types.toml: |
  {{- include "sheaf.nodeTypes" . | nindent 2 }}
{{- range $name, $type := .Values.autoscaling.nodeTypes }}
{{ $name }}.json: |
  {{- include "sheaf.nodeTypePod" (dict "root" $ "type" $type) | nindent 2 }}
{{- end }}
{{- end -}}
