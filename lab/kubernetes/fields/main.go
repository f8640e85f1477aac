// Writes the fields of the kinds that the sandbox serves: their names in JSON, their numbers in protobuf and their types.
//
//	cd lab/kubernetes && go run -mod=readonly ./fields > ../../sandbox/kubernetes/schema/fields.json
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	authorization "k8s.io/api/authorization/v1"
	autoscaling "k8s.io/api/autoscaling/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	storage "k8s.io/api/storage/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	aggregation "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

var kinds = []any{
	core.ConfigMap{}, core.Event{}, core.Namespace{}, core.Node{}, core.PersistentVolume{}, core.PersistentVolumeClaim{}, core.Pod{},
	core.Secret{}, core.Service{}, apps.DaemonSet{}, apps.Deployment{}, apps.ReplicaSet{}, apps.StatefulSet{}, batch.CronJob{}, batch.Job{},
	policy.Eviction{}, policy.PodDisruptionBudget{}, networking.Ingress{}, storage.StorageClass{}, storage.VolumeAttachment{},
	discovery.EndpointSlice{}, autoscaling.Scale{}, authorization.SelfSubjectAccessReview{},
	admissionregistration.MutatingWebhookConfiguration{}, admissionregistration.ValidatingWebhookConfiguration{},
	admissionregistration.ValidatingAdmissionPolicy{}, admissionregistration.ValidatingAdmissionPolicyBinding{},
	extensions.CustomResourceDefinition{}, aggregation.APIService{}, meta.DeleteOptions{},
}

// Types whose form in JSON is not that of their fields.
var special = map[string]string{
	"k8s.io/apimachinery/pkg/util/intstr.IntOrString":                      "IntOrString",
	"k8s.io/apimachinery/pkg/api/resource.Quantity":                       "Quantity",
	"k8s.io/apimachinery/pkg/apis/meta/v1.Time":                           "Time",
	"k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime":                      "MicroTime",
	"k8s.io/apimachinery/pkg/apis/meta/v1.Duration":                       "Duration",
	"k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1":                       "Raw",
	"k8s.io/apimachinery/pkg/runtime.RawExtension":                        "Raw",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON":       "Raw",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaProps": "Any",
}

var messages = map[string]map[string]string{}

func nameOf(t reflect.Type) string {
	path := t.PkgPath()
	for _, prefix := range []string{"k8s.io/api/", "k8s.io/apimachinery/pkg/apis/", "k8s.io/apimachinery/pkg/",
		"k8s.io/apiextensions-apiserver/pkg/apis/", "k8s.io/kube-aggregator/pkg/apis/"} {
		path = strings.TrimPrefix(path, prefix)
	}
	return strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}

func typeOf(t reflect.Type) string {
	if name, found := special[t.PkgPath()+"."+t.Name()]; found {
		return name
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + typeOf(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + typeOf(t.Elem())
	case reflect.Map:
		return "{}" + typeOf(t.Elem())
	case reflect.Struct:
		describe(t)
		return nameOf(t)
	case reflect.Float64:
		return "double"
	default:
		return t.Kind().String()
	}
}

func describe(t reflect.Type) {
	name := nameOf(t)
	if _, known := messages[name]; known {
		return
	}
	fields := map[string]string{}
	messages[name] = fields
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		jsonTag := strings.Split(field.Tag.Get("json"), ",")
		parts := strings.Split(field.Tag.Get("protobuf"), ",")
		number := "0"
		if len(parts) > 1 {
			number = parts[1]
		}
		if jsonTag[0] == "" && field.Anonymous {
			if number == "0" {
				if field.Type.Name() != "TypeMeta" {
					panic(fmt.Sprintf("%s.%s has no number", name, field.Name))
				}
				continue
			}
			fields["inline "+number] = number + " " + typeOf(field.Type)
			continue
		}
		text := number + " " + typeOf(field.Type)
		if key := field.Tag.Get("patchMergeKey"); key != "" {
			text += " by " + key
		} else if field.Tag.Get("patchStrategy") == "merge" {
			text += " by value"
		}
		fields[jsonTag[0]] = text
	}
}

func main() {
	roots := map[string]string{}
	for _, kind := range kinds {
		t := reflect.TypeOf(kind)
		describe(t)
		roots[t.Name()] = nameOf(t)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(map[string]any{"kinds": roots, "messages": messages}); err != nil {
		panic(err)
	}
}
