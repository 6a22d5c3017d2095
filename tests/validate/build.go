package main

import (
	"os"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func build(directories []string) []error {
	kustomizer := krusty.MakeKustomizer(krusty.MakeDefaultOptions())
	for _, directory := range directories {
		resources, err := kustomizer.Run(filesys.MakeFsOnDisk(), directory)
		if err != nil {
			return []error{err}
		}
		manifests, err := resources.AsYaml()
		if err == nil {
			_, err = os.Stdout.Write(manifests)
		}
		if err != nil {
			return []error{err}
		}
	}
	return nil
}
