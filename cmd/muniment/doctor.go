package main

import (
	"context"
	"encoding/json"

	"muniment.dev/ops/doctor"
	"muniment.dev/server"
)

// runDoctor prints what should be looked at, and fails if something must be.
func runDoctor(ctx context.Context, w world, args []string) int {
	asJSON := false
	var rest []string
	for _, a := range args {
		if a == "--json" {
			asJSON = true
			continue
		}
		rest = append(rest, a)
	}
	c, _, _, code, ok := settings(w, "doctor", rest)
	if !ok {
		return code
	}
	return examine(ctx, w, c, asJSON)
}

func examine(ctx context.Context, w world, c server.Config, asJSON bool) int {
	all, err := c.Doctor(ctx)
	if err != nil {
		return failed(w, err)
	}
	if asJSON {
		e := json.NewEncoder(w.stdout)
		e.SetIndent("", "  ")
		err = e.Encode(all)
	} else {
		doctor.Write(w.stdout, all)
	}
	if err != nil || doctor.Worst(all) == doctor.Problem {
		return 1
	}
	return 0
}
