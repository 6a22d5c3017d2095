package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// kinds are those that a manifest may have; another one is an error.
var kinds = []func(*runtime.Scheme) error{
	appsv1.AddToScheme,
	batchv1.AddToScheme,
	corev1.AddToScheme,
	kedav1alpha1.AddToScheme,
	monitoringv1.AddToScheme,
	networkingv1.AddToScheme,
	policyv1.AddToScheme,
}

func checkKubernetes(files []string) []error {
	scheme := runtime.NewScheme()
	for _, add := range kinds {
		if err := add(scheme); err != nil {
			return []error{err}
		}
	}
	options := json.SerializerOptions{Yaml: true, Strict: true}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, options)
	var problems []error
	for _, file := range files {
		problems = append(problems, decodeAll(file, decoder)...)
	}
	return problems
}

func decodeAll(file string, decoder runtime.Decoder) []error {
	content, err := os.ReadFile(file)
	if err != nil {
		return []error{err}
	}
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	var problems []error
	for number := 1; ; number++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return problems
		}
		if err == nil {
			_, _, err = decoder.Decode(document, nil, nil)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: document %d: %w", file, number, err))
		}
	}
}
