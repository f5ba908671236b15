package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// phases is what continuous integration runs, in this order: the cheap and the
// telling first. The numbers are the ones that the documentation promises.
var phases = []phase{
	{"install", "Chromium, PostgreSQL, the accessibility rules and clients of others, if missing", install},
	{"format", "every Go file as gofmt writes it", checkFormat},
	{"vet", "go vet", vet},
	{"staticcheck", "staticcheck, pinned in tools/lint", staticcheck},
	{"unit", "the tests of every package, and the rules of the house", unit},
	{"conformance", "every log engine keeps the contract", conformance},
	{"postgresql", "the product's tests on PostgreSQL 15, and half of them on 18", onPostgres(false)},
	{"simulation", "the whole server on simulated time, disk and network", simulation("2000")},
	{"faults", "system calls of the server fail, and it is killed before them: a sample", faults("30")},
	{"browser", "the pages in headless Chromium", browser},
	{"fuzz", "every parser that meets strangers, for a moment", fuzz("10s")},
	{"generate", "the generated files are what their sources say", checkGenerated},
}

// soakPhases are the long versions.
var soakPhases = []phase{
	{"install", "Chromium, PostgreSQL, the accessibility rules and clients of others, if missing", install},
	{"long", "the tests of every package, with a hundred kills and long histories", long},
	{"postgresql", "the product's tests on PostgreSQL 15 and 18", onPostgres(true)},
	{"race", "the tests of every package under the race detector", race},
	{"simulation", "a million seeds", simulation("1000000")},
	{"faults", "every system call of the server on its files fails, and it is killed before each", faults("all")},
	{"browser", "the pages in headless Chromium", browser},
	{"fuzz", "ten minutes for each target", fuzz("10m")},
}

// ownPhase matches the tests that have a phase of their own. Test names with
// these beginnings are reserved for them; package rules sees to it.
const ownPhase = "^Test(Conformance|Sim|Faults|Browser)"

func vet(ctx context.Context, h *house, log *phaseLog) error {
	return h.command(ctx, log, nil, "go", "vet", "./...")
}

func staticcheck(ctx context.Context, h *house, log *phaseLog) error {
	modfile := filepath.Join(h.root, "tools", "lint", "go.mod")
	return h.command(ctx, log, nil, "go", "tool", "-modfile="+modfile, "staticcheck", "./...")
}

func unit(ctx context.Context, h *house, log *phaseLog) error {
	return h.command(ctx, log, nil, "go", "test", "-vet=off", "-timeout=15m", "-skip="+ownPhase, "./...")
}

// long runs what unit and conformance run, with the environment that asks the
// tests for their long versions.
func long(ctx context.Context, h *house, log *phaseLog) error {
	env := []string{"MUNIMENT_SOAK=1", "MUNIMENT_KILLS=" + h.or("MUNIMENT_KILLS", "100")}
	return h.command(ctx, log, env, "go", "test", "-vet=off", "-count=1", "-timeout=0", "-skip=^Test(Sim|Faults|Browser)", "./...")
}

// race needs a C compiler, as Go's race detector does.
func race(ctx context.Context, h *house, log *phaseLog) error {
	return h.command(ctx, log, []string{"CGO_ENABLED=1"}, "go", "test", "-race", "-vet=off", "-timeout=0", "-skip="+ownPhase, "./...")
}

func conformance(ctx context.Context, h *house, log *phaseLog) error {
	return h.testsNamed(ctx, log, "TestConformance", "eventlog/logtest", nil)
}

// simulation runs the given number of seeds unless the environment says
// another.
func simulation(seeds string) func(context.Context, *house, *phaseLog) error {
	return func(ctx context.Context, h *house, log *phaseLog) error {
		env := []string{"MUNIMENT_SIM_SEEDS=" + h.or("MUNIMENT_SIM_SEEDS", seeds)}
		return h.testsNamed(ctx, log, "TestSim", "sim", env)
	}
}

// faults runs that many cases, or all, unless the environment says otherwise.
func faults(cases string) func(context.Context, *house, *phaseLog) error {
	return func(ctx context.Context, h *house, log *phaseLog) error {
		env := []string{"MUNIMENT_FAULTS=" + h.or("MUNIMENT_FAULTS", cases)}
		return h.testsNamed(ctx, log, "TestFaults", "cmd/muniment", env, "-count=1", "-v")
	}
}

func browser(ctx context.Context, h *house, log *phaseLog) error {
	return h.testsNamed(ctx, log, "TestBrowser", "login", h.browserEnv(), "-count=1")
}

// browserEnv is the environment of tests that need a browser.
func (h *house) browserEnv() []string {
	env := []string{"MUNIMENT_REQUIRE_BROWSER=1", "MUNIMENT_AXE=" + axe.path(h.root), "MUNIMENT_NPM=" + filepath.Join(h.root, npmFolder)}
	if path := findChromium(h.getenv); path != "" {
		env = append(env, "MUNIMENT_CHROMIUM="+path)
	}
	return env
}

// testsNamed runs the tests whose names begin with prefix, in the packages that
// have some. Finding none is a failure as soon as the folder that they are
// about exists: a phase must not fall silent because something was renamed.
func (h *house) testsNamed(ctx context.Context, log *phaseLog, prefix, about string, env []string, flags ...string) error {
	found, err := scan(h.root, prefix)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		if _, err := os.Stat(filepath.Join(h.root, about)); errors.Is(err, os.ErrNotExist) {
			log.say(fmt.Sprintf("   nothing to run: there is no %s yet", about))
			return nil
		}
		return fmt.Errorf("no test is named %s…, yet %s exists", prefix, about)
	}
	timeout := "15m"
	if h.soak {
		timeout = "0"
	}
	args := append([]string{"test", "-vet=off", "-timeout=" + timeout, "-run=^" + prefix}, flags...)
	log.say(fmt.Sprintf("   tests: %d in %s", len(found), strings.Join(folders(found), " ")))
	return h.command(ctx, log, env, "go", append(args, folders(found)...)...)
}

// or is an environment variable, or a default if it is empty.
func (h *house) or(name, value string) string {
	if v := h.getenv(name); v != "" {
		return v
	}
	return value
}
