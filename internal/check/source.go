package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"go/format"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// checkFormat names the Go files that gofmt would change.
func checkFormat(_ context.Context, h *house, log *phaseLog) error {
	wrong := 0
	err := walk(h.root, func(path string) error {
		if filepath.Ext(path) != ".go" {
			return nil
		}
		source, err := os.ReadFile(filepath.Join(h.root, path))
		if err != nil {
			return err
		}
		formatted, err := format.Source(source)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if !bytes.Equal(source, formatted) {
			fmt.Fprintln(log, path)
			wrong++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d files are not formatted: gofmt -w", wrong)
	}
	return nil
}

var (
	directive = regexp.MustCompile(`(?m)^//go:generate `)
	// generated is the header that go help generate prescribes.
	generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
)

// checkGenerated generates everything anew and names what differs from before.
// It compares with the files as they are, not with the last commit, so that a
// new source can be checked before it is committed.
func checkGenerated(ctx context.Context, h *house, log *phaseLog) error {
	before, sources, err := generatedFiles(h.root)
	if err != nil {
		return err
	}
	if sources == 0 {
		log.say("   nothing to run: no go:generate line yet")
		return nil
	}
	if err := h.command(ctx, log, nil, "go", "generate", "./..."); err != nil {
		return err
	}
	after, _, err := generatedFiles(h.root)
	if err != nil {
		return err
	}
	if changed := differing(before, after); len(changed) > 0 {
		fmt.Fprintln(log, strings.Join(changed, "\n"))
		return fmt.Errorf("%d generated files were not what their sources say; they are now: commit them", len(changed))
	}
	return nil
}

// generatedFiles digests every generated file: all in folders named gen, and
// those with the header. It also counts the files with a generate line.
func generatedFiles(root string) (files map[string][sha256.Size]byte, sources int, err error) {
	files = map[string][sha256.Size]byte{}
	err = walk(root, func(path string) error {
		inGen := slices.Contains(strings.Split(filepath.ToSlash(filepath.Dir(path)), "/"), "gen")
		if !inGen && filepath.Ext(path) != ".go" {
			return nil
		}
		body, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		if directive.Match(body) {
			sources++
		}
		if inGen || generated.Match(body) {
			files[path] = sha256.Sum256(body)
		}
		return nil
	})
	return files, sources, err
}

// differing lists the paths that are in one map only, or in both with another
// digest.
func differing(before, after map[string][sha256.Size]byte) []string {
	all := map[string]bool{}
	for path := range before {
		all[path] = true
	}
	for path := range after {
		all[path] = true
	}
	maps.DeleteFunc(all, func(path string, _ bool) bool {
		b, had := before[path]
		a, has := after[path]
		return had && has && a == b
	})
	return slices.Sorted(maps.Keys(all))
}
