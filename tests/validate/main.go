// Command validate reads the files of deploy/ as the programs that they are for read them.
//
//	validate build DIRECTORY          builds a kustomization and prints the manifests
//	validate kubernetes FILE...       decodes manifests into the types of Kubernetes, KEDA and the
//	                                  Prometheus operator: unknown or mistyped fields are errors
//	validate compose FILE...          loads them by Compose's own loader, schema included
//	validate collector FILE...        makes, but does not start, a Collector of these files
//	validate run FILE...              runs that Collector until SIGTERM
//	validate dockerfile FILE...       parses and lints them as BuildKit does
//
// It prints what is wrong, a line each, and exits with 1. The tests run it; nothing else does.
package main

import (
	"fmt"
	"os"
)

var commands = map[string]func(arguments []string) []error{
	"build":      build,
	"collector":  checkCollector,
	"compose":    checkCompose,
	"dockerfile": checkDockerfile,
	"kubernetes": checkKubernetes,
	"run":        runCollector,
}

func main() {
	if len(os.Args) < 3 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: validate build|collector|compose|dockerfile|kubernetes|run FILE...")
		os.Exit(2)
	}
	problems := commands[os.Args[1]](os.Args[2:])
	for _, problem := range problems {
		fmt.Println(problem)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}
