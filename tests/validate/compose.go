package main

import (
	"context"

	"github.com/compose-spec/compose-go/v2/cli"
)

func checkCompose(files []string) []error {
	options, err := cli.NewProjectOptions(files, cli.WithName("spanmill"))
	if err != nil {
		return []error{err}
	}
	if _, err := options.LoadProject(context.Background()); err != nil {
		return []error{err}
	}
	return nil
}
