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
)

// The accessibility rules run inside the pages under test; nothing of them is
// part of the product. The digest is of the one file that is used.
const (
	axeVersion = "4.14.1"
	axeDigest  = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
	axeFolder  = ".cache/axe"
	axeScript  = axeFolder + "/node_modules/axe-core/axe.min.js"
)

// install fetches what is missing for the browser tests. It says everything
// that it could not get, not only the first.
func install(ctx context.Context, h *house, log *phaseLog) error {
	return errors.Join(installChromium(ctx, h, log), installAxe(ctx, h, log))
}

// installChromium installs Debian's package if no Chromium is found.
func installChromium(ctx context.Context, h *house, log *phaseLog) error {
	if path := findChromium(h.getenv); path != "" {
		log.say("   Chromium: " + path)
		return nil
	}
	missing := errors.New("the browser tests need Chromium: install it (Debian: apt-get install chromium) or name it in MUNIMENT_CHROMIUM")
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return fmt.Errorf("%w; there is no apt-get here", missing)
	}
	command := []string{apt}
	if os.Geteuid() != 0 {
		sudo, err := exec.LookPath("sudo")
		if err != nil {
			return fmt.Errorf("%w; apt-get needs root", missing)
		}
		command = []string{sudo, "--non-interactive", apt}
	}
	log.say("   Chromium: installing Debian's package")
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	common := []string{"-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"}
	update := append(append(command, common...), "update")
	add := append(append(command, common...), "install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core")
	for _, step := range [][]string{update, add} {
		if err := h.command(ctx, log, env, step[0], step[1:]...); err != nil {
			return fmt.Errorf("%w; %w", missing, err)
		}
	}
	if findChromium(h.getenv) == "" {
		return fmt.Errorf("%w; apt-get succeeded, but there is none on the path", missing)
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

// installAxe fetches the pinned axe-core into a folder that git ignores, and
// refuses a file that is not the one pinned.
func installAxe(ctx context.Context, h *house, log *phaseLog) error {
	script := filepath.Join(h.root, axeScript)
	if digest(script) == axeDigest {
		log.say("   axe-core: " + axeVersion)
		return nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("the browser tests need axe-core %s, and there is no npm to fetch it", axeVersion)
	}
	folder := filepath.Join(h.root, axeFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	err = h.command(ctx, log, nil, npm, "install", "--prefix", folder, "--no-save", "--no-package-lock",
		"--ignore-scripts", "--no-audit", "--no-fund", "axe-core@"+axeVersion)
	if err != nil {
		return fmt.Errorf("axe-core %s: %w", axeVersion, err)
	}
	if got := digest(script); got != axeDigest {
		return fmt.Errorf("axe-core %s: %s has SHA-256 %s, want %s", axeVersion, axeScript, got, axeDigest)
	}
	log.say("   axe-core: " + axeVersion + " installed")
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
