package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// checkDockerfile parses files as a build does, and takes what the linter says as an error.
func checkDockerfile(files []string) []error {
	var problems []error
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return append(problems, err)
		}
		parsed, err := parser.Parse(bytes.NewReader(content))
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", file, err))
			continue
		}
		for _, warning := range parsed.Warnings {
			problems = append(problems, fmt.Errorf("%s: %s", file, warning.Short))
		}
		lint := linter.New(&linter.Config{
			Warn: func(rule, _, _, message string, _ []parser.Range) {
				problems = append(problems, fmt.Errorf("%s: %s: %s", file, rule, message))
			},
		})
		if _, _, err := instructions.Parse(parsed.AST, lint); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", file, err))
		}
	}
	return problems
}
