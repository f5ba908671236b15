package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// half are the packages of the product whose tests run on PostgreSQL 18 as well,
// each time. The others do in the long versions.
var half = []string{"./cmd/muniment", "./fleet", "./history", "./member/memberapi", "./project/projectapi", "./server", "./session/sessionapi", "./user/userapi"}

// tour is the test of the sample's, the sign-in's and the console's pages on a
// server, rather than on pages without one.
const tour = "^TestBrowserFromSignInToProof$"

// onPostgres runs the tests of the product again, with its stores on PostgreSQL,
// and the tour of the pages once.
func onPostgres(all bool) func(context.Context, *house, *phaseLog) error {
	return func(ctx context.Context, h *house, log *phaseLog) error {
		product, err := onEngines(h.root)
		if err != nil {
			return err
		}
		newest := half
		if all {
			newest = product
		}
		for _, run := range []struct {
			engine   string
			packages []string
		}{{"15", product}, {"18", newest}} {
			log.say("   PostgreSQL " + run.engine + ": " + strings.Join(run.packages, " "))
			args := append([]string{"test", "-vet=off", "-timeout=20m", "-skip=" + ownPhase}, run.packages...)
			if err := h.command(ctx, log, []string{"MUNIMENT_ENGINE=" + run.engine}, "go", args...); err != nil {
				return err
			}
		}
		return h.command(ctx, log, append(h.browserEnv(), "MUNIMENT_ENGINE=18"), "go", "test", "-vet=off", "-timeout=15m", "-run="+tour, "./demo")
	}
}

// onEngines are the folders of tests that start servers where MUNIMENT_ENGINE
// says: what their sources name tells.
func onEngines(root string) (all []string, err error) {
	err = walk(root, func(path string) error {
		if !strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, filepath.Join("internal", "check")) {
			return nil
		}
		source, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		if bytes.Contains(source, []byte("postgres.Chosen(")) || bytes.Contains(source, []byte(`"muniment.dev/internal/instancetest"`)) || bytes.HasPrefix(source, []byte("package instancetest")) {
			all = append(all, "./"+filepath.ToSlash(filepath.Dir(path)))
		}
		return nil
	})
	slices.Sort(all)
	return slices.Compact(all), err
}
