package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"muniment.dev/fault"
	"muniment.dev/fleet"
	"muniment.dev/login"
	"muniment.dev/server"
)

// settings reads the configuration and says what is wrong with it. places names
// the values beside settings that the command takes, one of each.
func settings(w world, name string, args []string, places ...string) (c server.Config, all []server.Effective, values []string, code int, ok bool) {
	if slices.ContainsFunc(args, isHelp) {
		fmt.Fprintf(w.stdout, "Usage: muniment %s [--config FILE] [--SETTING VALUE ...]\n\n", strings.Join(append([]string{name}, places...), " "))
		fmt.Fprint(w.stdout, "Each setting is also MUNIMENT_SETTING in the environment, and a line\n`setting = value` in the file. A flag outweighs the environment, the\nenvironment outweighs the file.\n\n")
		for _, s := range server.Settings {
			line(w.stdout, "--"+s.Name, s.Help, s.Default)
		}
		return c, nil, nil, 0, false
	}
	c, all, values, err := server.LoadConfig(args, w.getenv)
	switch {
	case err != nil:
	case len(values) > len(places):
		err = fault.Field(values[len(places)], "is not expected here")
	case len(values) < len(places):
		err = fault.Field(places[len(values)], "is missing; see muniment %s --help", name)
	default:
		return c, all, values, 0, true
	}
	return c, nil, nil, failed(w, err), false
}

func runServe(ctx context.Context, w world, args []string) int {
	c, _, _, code, ok := settings(w, "serve", args)
	if !ok {
		return code
	}
	level, err := c.Level()
	if err != nil {
		return failed(w, err)
	}
	logger := slog.New(slog.NewTextHandler(w.stderr, &slog.HandlerOptions{Level: level}))
	greeting := w.stdout
	if c.EventsTo != "" {
		greeting = w.stderr // the other is for events alone
	}
	if err := server.Serve(ctx, c, greeting, w.stdout, logger, fleet.Open); err != nil && !stopped(ctx, err) {
		return failed(w, err)
	}
	return 0
}

func runConfig(_ context.Context, w world, args []string) int {
	c, all, _, code, ok := settings(w, "config", args)
	if !ok {
		return code
	}
	for _, e := range all {
		fmt.Fprintf(w.stdout, "%-14s = %-32s # %s\n", e.Name, e.Shown(), e.Source)
	}
	if err := c.Check(); err != nil {
		return failed(w, err)
	}
	fmt.Fprintf(w.stdout, "\nBrowsers reach it at %s\n", c.ExternalURL)
	return 0
}

func runSetupLink(ctx context.Context, w world, args []string) int {
	c, _, values, code, ok := settings(w, "setup-link", args, "EMAIL")
	if !ok {
		return code
	}
	if err := c.Check(); err != nil {
		return failed(w, err)
	}
	if !c.Holds() {
		return failed(w, fault.New(fault.NotFound, "there is no instance in %s; muniment serve makes one", c.Data))
	}
	s, err := server.New(ctx, c, server.Extra{})
	if err != nil {
		return failed(w, err)
	}
	defer s.Close()
	secret, expires, err := s.Core.NewSetupLink(ctx, values[0])
	if err != nil {
		return failed(w, err)
	}
	fmt.Fprintf(w.stdout, "%s%s\n\nIt works once, until %s.\n", s.URL(), login.SetupPath(secret), expires.Format(time.RFC1123))
	return 0
}
